/**
 * The files a build may copy: unpacked on disk, without what .dockerignore names.
 * Edge: to the file system. Invariant: the folder is the builder's own, and is removed with the build.
 * Source: Docker Engine API, POST /build; Dockerfile reference, ".dockerignore file".
 */
import { createWriteStream } from "node:fs";
import { mkdir, open, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { cleanPath } from "../../../base/paths/clean-path.js";
import { type IgnoreRules, readDockerignore } from "../../../base/paths/ignore-rules.js";
import { partsOf } from "./context-path.js";
import { isTarHeader, unpackArchive } from "./fs-archive-unpack.js";
import { hasCode, RootedTree } from "./fs-rooted-tree.js";

export interface ContextLimits {
  /** Of all files, unpacked. @default 16 GiB */
  readonly bytesMax: number;
  /** @default 1 million */
  readonly entriesMax: number;
}

export const CONTEXT_LIMITS: ContextLimits = { bytesMax: 16 * 2 ** 30, entriesMax: 1_000_000 };
const DOCKERFILE_BYTES_MAX = 4 << 20;
const IGNORE_BYTES_MAX = 4 << 20;

export interface BuildContext {
  readonly tree: RootedTree;
  readonly dockerfile: string;
}

interface StageOptions {
  /** An empty folder. */
  readonly folder: string;
  readonly dockerfile: string;
  readonly limits: ContextLimits;
  readonly signal: AbortSignal | undefined;
}

/** @throws {InvalidArgumentError} no tar, or no Dockerfile in it; {ResourceExhaustedError}; {CancelledError} */
export async function stageContext(
  bytes: AsyncIterable<Uint8Array>,
  options: StageOptions,
): Promise<BuildContext> {
  const tree = new RootedTree(options.folder);
  await unpackArchive(bytes, {
    tree,
    path: "",
    owner: { uid: 0, gid: 0 },
    devices: undefined,
    ...options.limits,
    signal: options.signal,
  });
  return await openContext(options);
}

/** A context of one Dockerfile and nothing else. */
export async function stageDockerfile(
  bytes: AsyncIterable<Uint8Array>,
  options: StageOptions,
): Promise<BuildContext> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.byteLength;
    if (size > DOCKERFILE_BYTES_MAX) throw tooLarge();
    chunks.push(chunk);
  }
  return { tree: new RootedTree(options.folder), dockerfile: textOf(Buffer.concat(chunks)) };
}

/** A folder that is there already: what git brought. */
export async function openContext(options: StageOptions): Promise<BuildContext> {
  const tree = new RootedTree(options.folder);
  const name = options.dockerfile || "Dockerfile";
  const dockerfile = await readWithin(tree, name, DOCKERFILE_BYTES_MAX);
  if (dockerfile === undefined) {
    const lower =
      options.dockerfile === "" ? await readWithin(tree, "dockerfile", DOCKERFILE_BYTES_MAX) : undefined;
    if (lower === undefined) throw new InvalidArgumentError(`Cannot locate specified Dockerfile: ${name}`);
    return { tree, dockerfile: textOf(lower) };
  }
  if (dockerfile.byteLength === 0) throw new InvalidArgumentError(`the Dockerfile (${name}) cannot be empty`);
  const ignore =
    (await readWithin(tree, `${name}.dockerignore`, IGNORE_BYTES_MAX)) ??
    (await readWithin(tree, ".dockerignore", IGNORE_BYTES_MAX));
  if (ignore !== undefined) await removeIgnored(tree, readDockerignore(textOf(ignore)));
  return { tree, dockerfile: textOf(dockerfile) };
}

/** @returns undefined when there is no such file. @throws {InvalidArgumentError} outside, or too large. */
async function readWithin(tree: RootedTree, path: string, bytesMax: number): Promise<Buffer | undefined> {
  if (partsOf(cleanPath(path))[0] === "..")
    throw new InvalidArgumentError(`the Dockerfile (${path}) must be within the build context`);
  const found = tree.find(path, { followLast: true });
  if (found.stats?.isFile() !== true) return undefined;
  if (found.stats.size > bytesMax) throw tooLarge();
  return await readFile(found.absolute);
}

function tooLarge(): InvalidArgumentError {
  return new InvalidArgumentError(`the Dockerfile has more than ${DOCKERFILE_BYTES_MAX} bytes`);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

async function removeIgnored(tree: RootedTree, rules: IgnoreRules): Promise<void> {
  const walk = async (path: string): Promise<void> => {
    for (const entry of await readdir(tree.absolute(path), { withFileTypes: true })) {
      const inner = path === "" ? entry.name : `${path}/${entry.name}`;
      const excluded = rules.excludes(inner);
      const isFolder = entry.isDirectory();
      if (excluded && (!isFolder || !rules.hasExceptions)) {
        await rm(tree.absolute(inner), { recursive: true });
        continue;
      }
      if (!isFolder) continue;
      await walk(inner);
      if (excluded) await removeIfEmpty(tree.absolute(inner));
    }
  };
  await walk("");
  tree.forgetFolders();
}

async function removeIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (!hasCode(error, "ENOTEMPTY") && !hasCode(error, "EEXIST")) throw error;
  }
}

/** First bytes of a file. */
export async function headOf(path: string, bytes: number): Promise<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const { bytesRead, buffer } = await handle.read(new Uint8Array(bytes), 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

export async function writeNewFile(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await pipeline(bytes, createWriteStream(path, { flags: "wx", mode: 0o600 }));
}

/** Whether a downloaded file is a context, or a Dockerfile. */
export async function looksLikeArchive(path: string): Promise<boolean> {
  const head = await headOf(path, 512);
  const { compressionOf } = await import("../linux-layer-unpack.js");
  return compressionOf(head) !== "none" || isTarHeader(head);
}

export function contextFolder(buildFolder: string): string {
  return join(buildFolder, "context");
}
