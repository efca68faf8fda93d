/**
 * Unpacks a tar that somebody sent (a build context) or that ADD names into a root.
 * Edge: to the file system, by synchronous calls (the fast ones) between chunks of the archive.
 * Invariant: nothing is written, linked or followed outside the root; sizes and
 * numbers of entries are bounded. Later entries win.
 * Source: POSIX pax; Docker Engine API, POST /build.
 */
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lutimesSync,
  openSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { extract } from "tar-stream";
import {
  CancelledError,
  DataLossError,
  InvalidArgumentError,
  messageOf,
  ResourceExhaustedError,
  SkeinError,
} from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import { mtimeSecondsOf, ownerOf, type TarHeader } from "../layer-entry.js";
import { compressionOf, decompress, feedParser } from "../linux-layer-unpack.js";
import { partsOf } from "./context-path.js";
import type { Owner, RootedTree } from "./fs-rooted-tree.js";

export interface UnpackOptions {
  readonly tree: RootedTree;
  /** Folder below the root. */
  readonly path: string;
  /** undefined: as the archive says. */
  readonly owner: Owner | undefined;
  /** Device nodes are made; else refused. */
  readonly devices: Pick<Linux, "makeNode"> | undefined;
  readonly bytesMax: number;
  readonly entriesMax: number;
  readonly signal: AbortSignal | undefined;
}

const ROOT_OWNER: Owner = { uid: 0, gid: 0 };
/** The longest magic number that compressionOf knows. */
const MAGIC_BYTES = 6;
const TAR_BLOCK_BYTES = 512;

/** @returns the number of entries. @throws {InvalidArgumentError} {ResourceExhaustedError} {CancelledError} */
export async function unpackArchive(
  bytes: AsyncIterable<Uint8Array>,
  options: UnpackOptions,
): Promise<number> {
  const parser = extract();
  const received = { bytes: 0 };
  const plain = inBlocks(await plainTar(bytes, options.signal), received);
  const fed = feedParser(parser, plain).then(
    () => undefined,
    (error: unknown) => error,
  );
  const folderTimes = new Map<string, { mtime: number; mode: number }>();
  let entries = 0;
  let total = 0;
  let end = 0;
  try {
    for await (const entry of parser) {
      entries += 1;
      if (entries > options.entriesMax)
        throw new ResourceExhaustedError(`the archive has more than ${options.entriesMax} entries`);
      // tar-stream fills every field of TarHeader; its types leave some out
      const header = entry.header as unknown as TarHeader;
      total += header.size;
      end = header.byteOffset + header.size;
      if (total > options.bytesMax)
        throw new ResourceExhaustedError(`the archive holds more than ${options.bytesMax} bytes`);
      await writeEntry(header, entry as AsyncIterable<Buffer>, options, folderTimes);
      entry.resume();
    }
    if (end > received.bytes) throw new DataLossError("unexpected EOF");
  } catch (error) {
    const isOurs = error instanceof SkeinError && !(error instanceof DataLossError);
    if (isOurs || (error instanceof Error && "syscall" in error)) throw error;
    throw new InvalidArgumentError(`Error processing tar file(${messageOf(error)}): `, { cause: error });
  } finally {
    parser.destroy();
    await fed;
  }
  for (const [path, { mtime, mode }] of [...folderTimes].reverse()) {
    // a later entry may have put something else there, or a link before it
    const { path: real, absolute, stats } = options.tree.find(path, { followLast: false });
    if (real !== path || stats?.isDirectory() !== true) continue;
    chmodSync(absolute, mode);
    lutimesSync(absolute, mtime, mtime);
  }
  return entries;
}

async function writeEntry(
  header: TarHeader,
  body: AsyncIterable<Buffer>,
  options: UnpackOptions,
  folderTimes: Map<string, { mtime: number; mode: number }>,
): Promise<void> {
  const { tree } = options;
  const owner = options.owner ?? ownerOf(header);
  const parts = namedParts(header.name);
  const path = [options.path, ...parts].join("/");
  const mode = header.mode & 0o7777;
  const mtime = mtimeSecondsOf(header);
  if (header.type === "directory") {
    const found = tree.place(path, { followLast: parts.length === 0, owner: ROOT_OWNER });
    if (found.stats !== undefined && !found.stats.isDirectory()) await clear(tree, found.absolute);
    const folder = tree.makeFolder(path, owner);
    if (parts.length === 0) return; // the folder it is unpacked into stays as it is
    lchownSync(folder.absolute, owner.uid, owner.gid);
    folderTimes.set(folder.path, { mtime, mode });
    return;
  }
  if (parts.length === 0) throw refused(header.name, "names the root, but is no folder");
  const found = tree.place(path, { followLast: false, owner: ROOT_OWNER });
  if (header.type === "link") {
    const target = tree.find([options.path, ...namedParts(header.linkname ?? "")].join("/"), {
      followLast: false,
    });
    if (target.stats === undefined || target.stats.isDirectory())
      throw refused(
        header.name,
        `is a hard link to ${JSON.stringify(header.linkname)}, which is no file here`,
      );
    if (target.absolute === found.absolute) return;
    if (found.stats !== undefined) await clear(tree, found.absolute);
    linkSync(target.absolute, found.absolute);
    return;
  }
  if (found.stats !== undefined) await clear(tree, found.absolute);
  switch (header.type) {
    case "file":
    case "contiguous-file":
      await writeFile(found.absolute, body, { owner, mode, mtime });
      return;
    case "symlink":
      symlinkSync(header.linkname ?? "", found.absolute);
      break;
    case "fifo":
    case "character-device":
    case "block-device":
      if (options.devices === undefined && header.type !== "fifo")
        throw refused(header.name, "is a device, which a build context must not hold");
      if (options.devices === undefined) return; // nothing can be copied out of a pipe
      options.devices.makeNode({
        path: found.absolute,
        kind: header.type === "fifo" ? "fifo" : header.type === "block-device" ? "block" : "char",
        mode,
        major: header.devmajor,
        minor: header.devminor,
      });
      break;
    default:
      throw refused(header.name, "has a type that is not supported (a sparse file?)");
  }
  lchownSync(found.absolute, owner.uid, owner.gid);
  if (header.type !== "symlink") chmodSync(found.absolute, mode);
  lutimesSync(found.absolute, mtime, mtime);
}

/** A body that its parser takes away ends early; the parser's own error is told then. */
async function writeFile(
  absolute: string,
  body: AsyncIterable<Buffer>,
  facts: { owner: Owner; mode: number; mtime: number },
): Promise<void> {
  const fd = openSync(absolute, "wx", 0o600);
  try {
    for await (const chunk of body)
      for (let offset = 0; offset < chunk.length; ) offset += writeSync(fd, chunk, offset);
    fchownSync(fd, facts.owner.uid, facts.owner.gid);
    fchmodSync(fd, facts.mode);
    futimesSync(fd, facts.mtime, facts.mtime);
  } finally {
    closeSync(fd);
  }
}

async function clear(tree: RootedTree, absolute: string): Promise<void> {
  await rm(absolute, { recursive: true });
  tree.forgetFolders();
}

/** Names are relative to the root, also with a slash before them. @throws {InvalidArgumentError} */
function namedParts(name: string): readonly string[] {
  const parts = partsOf(name);
  if (name.includes("\0")) throw refused(name, "holds a NUL byte");
  if (parts.includes("..")) throw refused(name, 'holds "..", which may leave the root');
  return parts;
}

function refused(name: string, why: string): InvalidArgumentError {
  return new InvalidArgumentError(`archive: path ${JSON.stringify(name.slice(0, 300))} ${why}`);
}

/**
 * Filled up to whole blocks: the stock client ends a context it has put a Dockerfile into without padding.
 * What lacks more than that is found missing by `received`.
 */
async function* inBlocks(tar: AsyncIterable<Buffer>, received: { bytes: number }): AsyncGenerator<Buffer> {
  for await (const chunk of tar) {
    received.bytes += chunk.length;
    yield chunk;
  }
  const over = received.bytes % TAR_BLOCK_BYTES;
  if (over > 0) yield Buffer.alloc(TAR_BLOCK_BYTES - over);
}

/** The archive without its compression, which its first bytes tell. */
async function plainTar(
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Buffer>> {
  const source = bytes[Symbol.asyncIterator]();
  const first: Buffer[] = [];
  let have = 0;
  while (have < MAGIC_BYTES) {
    const next = await source.next();
    if (next.done === true) break;
    first.push(Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength));
    have += next.value.byteLength;
  }
  async function* all(): AsyncGenerator<Buffer> {
    try {
      yield* first;
      for (;;) {
        if (signal?.aborted === true) throw new CancelledError("the build was cancelled");
        const next = await source.next();
        if (next.done === true) return;
        yield Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
      }
    } finally {
      await source.return?.();
    }
  }
  return decompress(all(), compressionOf(Buffer.concat(first)), "the archive");
}

/** Whether a file's first 512 bytes make it an archive that ADD unpacks. */
export function isArchive(head: Uint8Array): boolean {
  if (compressionOf(head) !== "none") return true;
  return isTarHeader(head);
}

/** The sum in a tar header fits its bytes. */
export function isTarHeader(head: Uint8Array): boolean {
  if (head.byteLength < TAR_BLOCK_BYTES) return false;
  const text = Buffer.from(head.subarray(148, 156))
    .toString("latin1")
    .replace(/[\0 ]+$/, "")
    .trim();
  if (!/^[0-7]+$/.test(text)) return false;
  let sum = 0;
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) sum += at >= 148 && at < 156 ? 32 : (head[at] ?? 0);
  return sum === Number.parseInt(text, 8);
}
