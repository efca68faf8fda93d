/**
 * Images that come and go: pull, import, push, save, load. Edge: to the node's image store. Progress is
 * streamed as JSON lines; an error after the first of them is a line of its own.
 * Source: Docker Engine API 1.24 to 1.51 (ImageCreate, ImagePush, ImageGet, ImageLoad).
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { InvalidArgumentError, messageOf } from "../../base/errors/errors.js";
import type { ImagePlatform, ImageProgress, ImageWorkshop } from "../../proto/engine/images.js";
import { familiarName } from "../convert/image-names.js";
import type { Exchange } from "../http-exchange.js";
import { fetchTar, shownSource } from "../http-import-source.js";
import { type ProgressStream, streamProgress } from "../progress-stream.js";
import { registryAuthIn, withRegistryRefusal } from "../registry-auth.js";
import type { Route } from "./route.js";

export function imageTransferRoutes({ images }: { images: ImageWorkshop }): Route[] {
  return [
    {
      method: "POST",
      path: "/images/create",
      handle: (exchange) =>
        (exchange.query.get("fromImage") ?? "") !== "" ? pull(images, exchange) : importTar(images, exchange),
    },
    {
      method: "POST",
      path: "/images/:name/push",
      handle: async (exchange) => {
        const header = exchange.header("x-registry-auth");
        const auth = header === "" ? undefined : registryAuthIn(header);
        const name = exchange.param("name");
        const tag = exchange.query.get("tag") ?? "";
        return await streamProgress(exchange, async ({ report, signal }) => {
          await images.push(tag === "" ? name : `${name}:${tag}`, {
            allTags: tag === "" && !hasTag(name),
            ...(auth === undefined ? {} : { auth }),
            signal,
            onProgress: report,
          });
        });
      },
    },
    { method: "GET", path: "/images/get", handle: (exchange) => save(images, exchange, namesOf(exchange)) },
    {
      method: "GET",
      path: "/images/:name/get",
      handle: (exchange) => save(images, exchange, [exchange.param("name")]),
    },
    { method: "POST", path: "/images/load", handle: (exchange) => load(images, exchange) },
  ];
}

async function pull(images: ImageWorkshop, exchange: Exchange): Promise<undefined> {
  const name = exchange.query.get("fromImage") ?? "";
  const tag = exchange.query.get("tag") ?? "";
  const auth = registryAuthIn(exchange.header("x-registry-auth"));
  const platform = platformIn(exchange.query.get("platform") ?? "");
  const base = { ...(auth === undefined ? {} : { auth }), ...(platform === undefined ? {} : { platform }) };
  const work = async ({ report, signal }: ProgressStream): Promise<void> => {
    const options = { ...base, signal, onProgress: report };
    if (tag !== "") {
      await images.pull(tag.includes(":") ? `${name}@${tag}` : `${name}:${tag}`, options);
      return;
    }
    if (hasTag(name)) {
      await images.pull(name, options);
      return;
    }
    const { auth: own } = base;
    const tags = await images.listRemoteTags(name, { signal, ...(own === undefined ? {} : { auth: own }) });
    const statuses: ImageProgress[] = [];
    for (const each of tags) {
      const onProgress = (line: ImageProgress): void => {
        if (line.status.startsWith("Status: ")) statuses.push(line);
        else report(line);
      };
      await images.pull(`${name}:${each}`, { ...options, onProgress });
    }
    const isNew = statuses.some(({ status }) => status.includes("Downloaded newer image"));
    const words = isNew ? "Downloaded newer image for" : "Image is up to date for";
    if (tags.length > 0) report({ status: `Status: ${words} ${familiarName(name)}` });
  };
  return await withRegistryRefusal(streamProgress(exchange, work));
}

async function importTar(images: ImageWorkshop, exchange: Exchange): Promise<undefined> {
  const { query } = exchange;
  const source = query.get("fromSrc") ?? "";
  if (source === "")
    throw new InvalidArgumentError("fromImage or fromSrc must say what the image is made of");
  const repo = query.get("repo") ?? "";
  const tag = query.get("tag") ?? "";
  const platform = platformIn(query.get("platform") ?? "");
  return await streamProgress(exchange, async ({ report, tell, signal }) => {
    const isBody = source === "-";
    const tar = isBody ? exchange.bytes() : await fetchTar(source, { signal, onProgress: report });
    const message = query.get("message") ?? "";
    const image = await images.importRootfs(tar, {
      ...(repo === "" ? {} : { reference: tag === "" ? repo : `${repo}:${tag}` }),
      message: message === "" ? `Imported from ${isBody ? "-" : shownSource(source)}` : message,
      changes: query.getAll("changes").filter((change) => change !== ""),
      ...(platform === undefined ? {} : { platform }),
      signal,
    });
    await tell({ status: image.id });
  });
}

export async function load(images: ImageWorkshop, exchange: Exchange): Promise<undefined> {
  const quiet = exchange.flag("quiet");
  const work = async ({ report, tell, signal }: ProgressStream): Promise<void> => {
    const words: string[] = [];
    const onProgress = (progress: ImageProgress): void => {
      if (/^(Loaded image|The image )/.test(progress.status)) words.push(`${progress.status}\n`);
      else if (!quiet) report(progress);
    };
    await images.load(exchange.bytes(), { signal, onProgress });
    for (const stream of words) await tell({ stream });
  };
  return await streamProgress(exchange, work, { early: true });
}

async function save(images: ImageWorkshop, exchange: Exchange, names: readonly string[]): Promise<undefined> {
  const signal = exchange.gone();
  const platform = platformIn(exchange.query.get("platform") ?? "");
  const tar = await images.save(names, { signal, ...(platform === undefined ? {} : { platform }) });
  const response = exchange.startStream("application/x-tar");
  try {
    await pipeline(Readable.from(tar, { objectMode: false }), response);
  } catch (error) {
    // The head is sent: only a broken connection tells the client.
    response.destroy(error instanceof Error ? error : new Error(messageOf(error)));
  }
  return undefined;
}

/** names=a&names=b, or a list in JSON. */
function namesOf(exchange: Exchange): readonly string[] {
  return exchange.query.getAll("names").filter((name) => name !== "");
}

function hasTag(name: string): boolean {
  return name.includes("@") || name.slice(name.lastIndexOf("/") + 1).includes(":");
}

/** "linux/arm64/v8", or that as a JSON object. @throws {InvalidArgumentError} */
export function platformIn(text: string): ImagePlatform | undefined {
  if (text === "") return undefined;
  if (text.startsWith("{")) return platformOfJson(text);
  const parts = text.toLowerCase().split("/");
  const [first = "", second, variant] = parts;
  const wrong = parts.find((part) => !/^[a-z0-9_.-]+$/.test(part));
  if (wrong !== undefined)
    throw new InvalidArgumentError(
      `${JSON.stringify(wrong)} is an invalid component of ${JSON.stringify(text)}: platform specifier ` +
        "component must match os[/architecture[/variant]]",
    );
  if (parts.length > 3)
    throw new InvalidArgumentError(
      `${JSON.stringify(text)}: cannot parse platform specifier: invalid argument`,
    );
  const named = second ?? architectureOf(first);
  if (second === undefined && named === undefined && !SYSTEMS.has(first))
    throw new InvalidArgumentError(
      `${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`,
    );
  const os = second === undefined && named !== undefined ? "linux" : first;
  const architecture = ALIASES[named ?? ""] ?? named ?? "amd64";
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

const ALIASES: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  i386: "386",
  armhf: "arm",
};
/** Alone in a platform, anything else is an architecture or a mistake. */
const SYSTEMS = new Set(
  "aix android darwin dragonfly freebsd illumos ios linux nacl netbsd openbsd plan9 solaris windows zos".split(
    " ",
  ),
);
const ARCHITECTURES = new Set(["amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x"]);

function architectureOf(text: string): string | undefined {
  return ARCHITECTURES.has(text) || text in ALIASES ? text : undefined;
}

function platformOfJson(text: string): ImagePlatform {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError("failed to parse platform: it must be JSON", { cause: error });
  }
  const member = (key: string): string => {
    const value = typeof json === "object" && json !== null ? Object.entries(json) : [];
    const found = value.find(([name]) => name.toLowerCase() === key)?.[1];
    return typeof found === "string" ? found : "";
  };
  const variant = member("variant");
  if (member("os") === "" || member("architecture") === "")
    throw new InvalidArgumentError("both OS and Architecture must be provided");
  return {
    os: member("os"),
    architecture: member("architecture"),
    ...(variant === "" ? {} : { variant }),
  };
}
