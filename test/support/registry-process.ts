/**
 * Debian's docker-registry for tests: own port on loopback, own storage, optional basic authentication;
 * and pushing to it.
 * Edge: process, files, HTTP.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BuiltBlob, type BuiltImage, blobOf, descriptorOf } from "./image-tar.js";

export interface TestRegistry extends AsyncDisposable {
  /** localhost:port, or with the address it was told to listen at */
  readonly host: string;
  close(): Promise<void>;
}

export interface TestRegistryOptions {
  readonly basic?: { readonly username: string; readonly password: string };
  /** Network namespace (ip netns) in which it listens. @default the test's own */
  readonly netns?: string;
  /** Where it listens, port 0 for any. @default 127.0.0.1:0 */
  readonly listen?: string;
  /** Folder of its blobs; several registries may serve one. @default its own, removed at the end */
  readonly storage?: string;
}

export async function startRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const folder = mkdtempSync(join(tmpdir(), "skein-registry-"));
  const config = {
    version: 0.1,
    log: { level: "info", accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: options.storage ?? join(folder, "storage") },
      delete: { enabled: true },
    },
    http: { addr: options.listen ?? "127.0.0.1:0" },
    ...(options.basic === undefined
      ? {}
      : { auth: { htpasswd: { realm: "test", path: join(folder, "htpasswd") } } }),
  };
  if (options.basic !== undefined) {
    const { username, password } = options.basic;
    const line = execFileSync("htpasswd", ["-niBC", "4", username], { input: password });
    writeFileSync(join(folder, "htpasswd"), line);
  }
  writeFileSync(join(folder, "config.yml"), JSON.stringify(config)); // JSON is YAML
  const command = ["docker-registry", "serve", join(folder, "config.yml")];
  const inside = options.netns === undefined ? [] : ["nsenter", `--net=/run/netns/${options.netns}`];
  const [program = "", ...args] = [...inside, ...command];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const kill = (): void => {
    child.kill();
  };
  process.once("exit", kill); // whatever ends the test
  const close = async (): Promise<void> => {
    process.off("exit", kill);
    kill();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const port = await listeningPort(child);
    const host = `${options.listen?.split(":")[0] ?? "localhost"}:${port}`;
    return { host, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

function listeningPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let words = "";
    const read = (chunk: Buffer): void => {
      words = (words + chunk.toString("utf8")).slice(-20_000);
      const match = /listening on [\d.]+:(\d+)/.exec(words);
      if (match !== null) resolve(Number(match[1]));
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`docker-registry ended with ${code}: ${words}`)));
  });
}

export interface PushOptions {
  readonly host: string;
  readonly path: string;
  readonly tag: string;
  readonly basic?: { readonly username: string; readonly password: string };
}

/** Pushes config, layers and manifest. @returns the manifest's digest. */
export async function pushImage(image: BuiltImage, options: PushOptions): Promise<string> {
  for (const blob of [image.config, ...image.layers]) await pushBlob(blob, options);
  await pushManifest(image.manifest, options, options.tag);
  return image.manifest.digest;
}

/** Pushes images and an index of them, one per architecture. @returns the index's digest. */
export async function pushIndex(
  images: readonly { image: BuiltImage; architecture: string }[],
  options: PushOptions,
): Promise<string> {
  for (const { image } of images) await pushImage(image, { ...options, tag: image.manifest.digest });
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const manifests = images.map(({ image, architecture }) => ({
    ...descriptorOf(image.manifest),
    platform: { os: "linux", architecture },
  }));
  const index = blobOf(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests })), mediaType);
  await pushManifest(index, options, options.tag);
  return index.digest;
}

async function pushBlob(blob: BuiltBlob, options: PushOptions): Promise<void> {
  const begun = await call(options, `/v2/${options.path}/blobs/uploads/`, { method: "POST" });
  const location = new URL(begun.headers.get("location") ?? "", `http://${options.host}`);
  location.searchParams.set("digest", blob.digest);
  await call(options, `${location.pathname}${location.search}`, {
    method: "PUT",
    body: blob.bytes,
    headers: { "content-type": "application/octet-stream" },
  });
}

async function pushManifest(blob: BuiltBlob, options: PushOptions, tag: string): Promise<void> {
  await call(options, `/v2/${options.path}/manifests/${tag}`, {
    method: "PUT",
    body: blob.bytes,
    headers: { "content-type": blob.mediaType },
  });
}

async function call(
  options: PushOptions,
  path: string,
  init: { method: string; body?: Uint8Array; headers?: Record<string, string> },
): Promise<Response> {
  const { basic } = options;
  const authorization =
    basic === undefined ? {} : { authorization: `Basic ${btoa(`${basic.username}:${basic.password}`)}` };
  const answer = await fetch(`http://${options.host}${path}`, {
    ...init,
    headers: { ...init.headers, ...authorization },
  });
  const body = await answer.text();
  if (!answer.ok) throw new Error(`${init.method} ${path} answered ${answer.status}: ${body}`);
  return answer;
}
