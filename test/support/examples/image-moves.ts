/**
 * Images of examples: built by a host from a folder, then given to the other hosts, as where no registry is.
 * Edge: to node:http on the hosts' sockets, to tar and files.
 */
import { spawn } from "node:child_process";
import { createReadStream, createWriteStream, rmSync, statSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { LabHost } from "../lab/lab-host.js";
import { patient } from "../patience.js";

const TIMEOUT_MS = 300_000;

export interface BuildOrder {
  readonly folder: string;
  readonly tag: string;
  readonly args: Readonly<Record<string, string>>;
}

/** @throws {Error} with the end of what the build wrote when it fails. */
export async function buildImage(host: LabHost, { folder, tag, args }: BuildOrder): Promise<void> {
  // on the host's own network: nothing of the node's bridge is made for it
  const options = { rm: "1", forcerm: "1", networkmode: "host", buildargs: JSON.stringify(args) };
  const query = new URLSearchParams({ t: tag, ...options });
  const tar = spawn("tar", ["-C", folder, "-cf", "-", "."], { stdio: ["ignore", "pipe", "inherit"] });
  const text = await textOf(await post(host, `/v1.51/build?${query}`, { body: tar.stdout }));
  if (!/"ID":"sha256:/.test(text) && !text.includes("Successfully built"))
    throw new Error(`building ${tag} failed:\n${words(text).slice(-3_000)}`);
}

/** What `from` has by these names, the others have afterwards. */
export async function copyImages(
  from: LabHost,
  to: readonly LabHost[],
  names: readonly string[],
): Promise<void> {
  const path = join(from.dir, "images.tar");
  try {
    const query = names.map((name) => `names=${encodeURIComponent(name)}`).join("&");
    const saved = await exchange(from, { method: "GET", path: `/v1.51/images/get?${query}` });
    if (saved.statusCode !== 200) throw new Error(`saving ${names.join(", ")}: ${await textOf(saved)}`);
    await pipeline(saved, createWriteStream(path));
    await Promise.all(
      to.map(async (host) => {
        const body = createReadStream(path);
        const answer = await post(host, "/v1.51/images/load?quiet=1", { body, length: statSync(path).size });
        const text = await textOf(answer);
        if (answer.statusCode !== 200 || text.includes('"error"'))
          throw new Error(`loading ${names.join(", ")} on ${host.name}: ${text}`);
      }),
    );
  } finally {
    rmSync(path, { force: true });
  }
}

interface Body {
  readonly body: Readable;
  readonly length?: number;
}

function post(host: LabHost, path: string, { body, length }: Body): Promise<IncomingMessage> {
  return exchange(host, { method: "POST", path, body, ...(length === undefined ? {} : { length }) });
}

function exchange(
  { socketPath }: LabHost,
  { method, path, body, length }: { method: string; path: string } & Partial<Body>,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(body === undefined ? {} : { "content-type": "application/x-tar" }),
      ...(length === undefined ? {} : { "content-length": length }),
    };
    const request = httpRequest({ socketPath, method, path, headers, timeout: patient(TIMEOUT_MS) }, resolve);
    request.once("timeout", () => request.destroy(new Error(`${method} ${path} timed out`)));
    request.once("error", reject);
    if (body === undefined) request.end();
    else body.once("error", reject).pipe(request);
  });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += String(chunk);
  return text;
}

/** The lines of a build, out of its messages. */
function words(text: string): string {
  return [...text.matchAll(/"(?:stream|error)":("(?:[^"\\]|\\.)*")/g)]
    .map((match) => JSON.parse(match[1] ?? '""') as string)
    .join("");
}
