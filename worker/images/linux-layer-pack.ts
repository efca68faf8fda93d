/**
 * The tar of an unpacked layer folder, in overlayfs form on the disk and in OCI form in the tar.
 * Edge: to the file system by synchronous calls, and to extended attributes by the system calls of this
 * thread; it runs in a worker thread.
 * Invariant: the tar depends on the folder alone: names in the order of their bytes, times in whole seconds.
 * Source: OCI image-spec 1.1 layer.md (whiteouts); kernel Documentation/filesystems/overlayfs.rst.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  createWriteStream,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { DataLossError, InvalidArgumentError } from "../../base/errors/errors.js";
import { readXattrs } from "../../base/linux/linux-koffi-xattrs.js";
import { type LayerEntry, paddingOf, TAR_END, tarHeaderOf } from "./layer-tar.js";

export interface PackRequest {
  /** The layer's folder. */
  readonly root: string;
  /** File to make, on the same file system. */
  readonly file: string;
  readonly gzip: boolean;
}

export interface PackResult {
  /** Of the file made. */
  readonly digest: string;
  readonly fileBytes: number;
  readonly diffId: string;
}

export interface TarSum {
  readonly diffId: string;
  readonly tarBytes: number;
  readonly entryCount: number;
}

const READ_CHUNK_BYTES = 1 << 18;
const OPAQUE_XATTR = "trusted.overlay.opaque";
const OPAQUE_NAME = ".wh..wh..opq";
const WHITEOUT_PREFIX = ".wh.";
/** zlib's default, as other engines use it. */
const GZIP_LEVEL = 6;

export async function packLayer({ root, file, gzip }: PackRequest): Promise<PackResult> {
  return await writeSummed(tarOf(root), { file, gzip });
}

export interface CompressRequest {
  /** A plain tar. */
  readonly source: string;
  /** File to make. */
  readonly file: string;
}

export async function compressLayer({ source, file }: CompressRequest): Promise<PackResult> {
  const chunks = createReadStream(source, { highWaterMark: READ_CHUNK_BYTES });
  return await writeSummed(chunks as AsyncIterable<Buffer>, { file, gzip: true });
}

async function writeSummed(
  tar: Iterable<Buffer> | AsyncIterable<Buffer>,
  { file, gzip }: { file: string; gzip: boolean },
): Promise<PackResult> {
  const plain = createHash("sha256");
  const stored = createHash("sha256");
  let fileBytes = 0;
  const source = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of tar) {
      plain.update(chunk);
      yield chunk;
    }
  };
  const counted = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      stored.update(chunk);
      fileBytes += chunk.length;
      yield chunk;
    }
  };
  const target = createWriteStream(file, { flags: "wx", mode: 0o600 });
  const compressor = createGzip({ level: GZIP_LEVEL, chunkSize: READ_CHUNK_BYTES });
  if (gzip) await pipeline(source, compressor, counted, target);
  else await pipeline(source, counted, target);
  return { digest: textOf(stored), fileBytes, diffId: textOf(plain) };
}

/** The sum of the tar, without keeping it. */
export function sumLayer(root: string): TarSum {
  const hash = createHash("sha256");
  const counts = { entries: 0 };
  let tarBytes = 0;
  for (const chunk of tarOf(root, counts)) {
    hash.update(chunk);
    tarBytes += chunk.length;
  }
  return { diffId: textOf(hash), tarBytes, entryCount: counts.entries };
}

/** The tar of a folder in chunks, each valid until the next is asked for. */
export function* tarOf(root: string, counts = { entries: 0 }): Generator<Buffer> {
  const hardLinks = new Map<string, string>();
  const buffer = Buffer.allocUnsafe(READ_CHUNK_BYTES);
  for (const { name, stats, opaque, xattrs } of walk(root, "")) {
    counts.entries += 1;
    const entry = entryOf(root, { name, stats, xattrs }, hardLinks);
    if (entry === undefined) continue;
    yield tarHeaderOf(entry);
    if (entry.kind === "file" && entry.sizeBytes > 0)
      yield* bodyOf(join(root, name), entry.sizeBytes, buffer);
    if (opaque) yield tarHeaderOf(whiteoutOf(`${name}/${OPAQUE_NAME}`));
  }
  yield Buffer.from(TAR_END);
}

interface Walked {
  readonly name: string;
  readonly stats: Stats;
  readonly xattrs: LayerEntry["xattrs"];
  readonly opaque: boolean;
}

/** Folders before what is in them. */
function* walk(root: string, folder: string): Generator<Walked> {
  for (const base of sortedNamesIn(join(root, folder))) {
    const name = folder === "" ? base : `${folder}/${base}`;
    const path = join(root, name);
    const stats = lstatSync(path);
    const all = isWhiteout(stats) ? [] : readXattrs(path);
    yield {
      name,
      stats,
      xattrs: all.filter((one) => isPortable(one.name)),
      opaque: stats.isDirectory() && all.some((one) => one.name === OPAQUE_XATTR),
    };
    if (stats.isDirectory()) yield* walk(root, name);
  }
}

/**
 * In the order of their bytes, whatever the machine's language.
 * @throws {InvalidArgumentError} a name that is not UTF-8.
 */
export function sortedNamesIn(folder: string): readonly string[] {
  const names = readdirSync(folder, { encoding: "buffer" }).sort(Buffer.compare);
  return names.map((bytes) => {
    const name = bytes.toString("utf8");
    if (!Buffer.from(name, "utf8").equals(bytes))
      throw new InvalidArgumentError(
        `file name ${JSON.stringify(bytes.toString("latin1"))} in ${JSON.stringify(folder)} is not UTF-8: ` +
          "a layer cannot hold it",
      );
    return name;
  });
}

/** What a layer carries; the rest steers overlayfs or belongs to the machine's own labels. */
export function isPortable(attribute: string): boolean {
  return (
    (attribute.startsWith("security.") || attribute.startsWith("user.")) &&
    !/^security\.(selinux|ima|evm)$/.test(attribute) &&
    !attribute.startsWith("user.overlay.")
  );
}

export function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

function whiteoutOf(name: string): LayerEntry {
  return {
    name,
    kind: "file",
    mode: 0o600,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0, // it says that something is gone, not when the copy of that mark was made
    sizeBytes: 0,
    target: "",
    major: 0,
    minor: 0,
    xattrs: [],
  };
}

/** @returns undefined for what a layer does not hold: sockets. */
function entryOf(
  root: string,
  { name, stats, xattrs }: Omit<Walked, "opaque">,
  hardLinks: Map<string, string>,
): LayerEntry | undefined {
  if (isWhiteout(stats)) {
    const at = name.lastIndexOf("/") + 1;
    return whiteoutOf(`${name.slice(0, at)}${WHITEOUT_PREFIX}${name.slice(at)}`);
  }
  const base = {
    name,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    mtimeSeconds: secondsOf(stats),
    sizeBytes: 0,
    target: "",
    major: 0,
    minor: 0,
    xattrs,
  };
  if (stats.isDirectory()) return { ...base, kind: "folder" };
  if (stats.nlink > 1) {
    const inode = `${stats.dev}:${stats.ino}`;
    const first = hardLinks.get(inode);
    if (first !== undefined) return { ...base, kind: "link", target: first, xattrs: [] };
    hardLinks.set(inode, name);
  }
  if (stats.isFile()) return { ...base, kind: "file", sizeBytes: stats.size };
  if (stats.isSymbolicLink()) return { ...base, kind: "symlink", target: readlinkSync(join(root, name)) };
  if (stats.isFIFO()) return { ...base, kind: "fifo" };
  if (!stats.isCharacterDevice() && !stats.isBlockDevice()) return undefined;
  return { ...base, kind: stats.isBlockDevice() ? "block" : "char", ...deviceOf(stats.rdev) };
}

/** As glibc packs device numbers. Source: makedev(3). */
export function deviceOf(rdev: number): { major: number; minor: number } {
  const device = BigInt(rdev);
  return {
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    minor: Number((device & 0xffn) | ((device >> 12n) & ~0xffn & 0xffffffffn)),
  };
}

function secondsOf(stats: Stats): number {
  return Math.max(0, Math.floor(stats.mtimeMs / 1000));
}

function* bodyOf(path: string, sizeBytes: number, buffer: Buffer): Generator<Buffer> {
  const fd = openSync(path, "r");
  try {
    let left = sizeBytes;
    while (left > 0) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, left), null);
      if (count === 0) throw new DataLossError(`${path} became shorter while it was read`);
      left -= count;
      // a copy: the buffer is filled again while a stream may still hold this part
      yield Buffer.from(buffer.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
  const padding = paddingOf(sizeBytes);
  if (padding > 0) yield Buffer.alloc(padding);
}

function textOf(hash: ReturnType<typeof createHash>): string {
  return `sha256:${hash.digest("hex")}`;
}
