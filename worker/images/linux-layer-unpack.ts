/**
 * One pass over a layer's file: read, sum of the bytes as stored, decompress, sum of the plain tar (the diff
 * id), unpack.
 * Edge: to the file system, zlib, and the commands zstd, bzip2 and xz for layers compressed that way.
 * Invariant: the result names what was really read; the caller compares it and drops the folder when it
 * differs.
 * Sources: OCI image-spec 1.1 layer.md; RFC 1952 (gzip), RFC 8878 (zstd magic).
 */
import { spawn } from "node:child_process";
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { type Extract, extract } from "tar-stream";
import { DataLossError, FailedPreconditionError, messageOf, SkeinError } from "../../base/errors/errors.js";
import { type TarHeader, XATTR_PREFIX } from "./layer-entry.js";
import { type KernelCalls, LayerExtractor } from "./linux-layer-extractor.js";
import { RecentBytes } from "./recent-bytes.js";

export interface UnpackRequest {
  /** The layer as stored: a tar, plain or compressed; told apart by its first bytes. */
  readonly file: string;
  /** An empty folder. */
  readonly root: string;
  /** Name of the layer in error messages. */
  readonly layer: string;
  readonly unpackedBytesMax: number;
  readonly entryCountMax: number;
  /** Of the file as stored, when it has just been checked: then it is not summed again. */
  readonly knownDigest?: string;
}

export interface UnpackResult {
  /** Of the file as stored. */
  readonly digest: string;
  /** Of the plain tar. */
  readonly diffId: string;
  /** Sum of the sizes of its regular files. */
  readonly sizeBytes: number;
  /** Of the file as stored. */
  readonly compression: Compression;
}

export type Compression = "none" | "gzip" | "zstd" | "bzip2" | "xz";
/** What Node itself does not read is left to commands. */
type CommandCompression = "zstd" | "bzip2" | "xz";

const READ_CHUNK_BYTES = 1 << 20;
const GUNZIP_CHUNK_BYTES = 1 << 18;
/** Enough for the largest pax header with attributes of 64 KiB each; only chunk references are held. */
const RECENT_BYTES_KEPT = 1 << 19;

/**
 * @throws {InvalidArgumentError} a path that leaves the root; {DataLossError} damaged;
 * {FailedPreconditionError} the command for its compression is missing.
 */
export async function unpackLayer(
  request: UnpackRequest,
  kernel: KernelCalls,
  onBytes: (readBytes: number) => void = () => undefined,
): Promise<UnpackResult> {
  let readBytes = 0;
  const stored = createHash("sha256");
  const plain = createHash("sha256");
  const recent = new RecentBytes({ keepBytes: RECENT_BYTES_KEPT });
  const extractor = new LayerExtractor({
    ...request,
    kernel,
    xattrValue: (header, name) => {
      const key = `${XATTR_PREFIX}${name}`;
      const text = header.pax?.[key] ?? "";
      const raw = text.includes("\uFFFD") ? recent.paxValueBefore(header.byteOffset, key) : undefined;
      return raw ?? Buffer.from(text, "utf8");
    },
  });
  let compression: Compression;
  try {
    compression = compressionOf(await firstBytesOf(request.file));
    const source = createReadStream(request.file, { highWaterMark: READ_CHUNK_BYTES });
    const tar = decompress(
      seen(source, (chunk) => {
        if (request.knownDigest === undefined) stored.update(chunk);
        readBytes += chunk.length;
        onBytes(readBytes); // once per chunk of a mebibyte
      }),
      compression,
      request.layer,
    );
    await writeEntries(
      extractor,
      seen(tar, (chunk) => {
        plain.update(chunk);
        recent.feed(chunk);
      }),
    );
  } catch (error) {
    if (error instanceof SkeinError || isSystemError(error)) throw error;
    throw new DataLossError(`layer ${request.layer} is damaged: ${messageOf(error)}`, { cause: error });
  }
  extractor.finish();
  return {
    digest: request.knownDigest ?? textOf(stored),
    diffId: textOf(plain),
    sizeBytes: extractor.sizeBytes,
    compression,
  };
}

/** Told by magic bytes, because media types are often wrong. */
export function compressionOf(first: Uint8Array): Compression {
  const begins = (...bytes: number[]): boolean => bytes.every((byte, index) => first[index] === byte);
  if (begins(0x1f, 0x8b)) return "gzip";
  if (begins(0x28, 0xb5, 0x2f, 0xfd)) return "zstd";
  if (begins(0xfd, 0x37, 0x7a, 0x58, 0x5a)) return "xz";
  if (begins(0x42, 0x5a, 0x68)) return "bzip2";
  return "none";
}

/** @returns the plain bytes. @throws {DataLossError} damaged; zlib's own error for damaged gzip. */
export function decompress(
  source: AsyncIterable<Buffer>,
  compression: Compression,
  what: string,
): AsyncIterable<Buffer> {
  if (compression === "gzip") return throughGunzip(source);
  if (compression === "none") return source;
  return throughCommand(source, compression, what);
}

async function* throughGunzip(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: GUNZIP_CHUNK_BYTES });
  const fed = settled(pipeline(source, gunzip));
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) yield chunk;
  } finally {
    gunzip.destroy();
    await fed; // the source is closed by now
  }
}

async function* throughCommand(
  source: AsyncIterable<Buffer>,
  command: CommandCompression,
  what: string,
): AsyncGenerator<Buffer> {
  const child = spawn(command, ["-dc"], { stdio: ["pipe", "pipe", "pipe"] });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(0, 500);
  });
  const ended = new Promise<number | Error>((resolve) => {
    child.once("error", resolve);
    child.once("close", (code) => resolve(code ?? -1));
  });
  const fed = settled(pipeline(source, child.stdin));
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
    const result = await ended;
    if (result instanceof Error) {
      throw new FailedPreconditionError(
        `${what} is compressed with ${command}, and the command ${command} is not installed on this node`,
        { cause: result },
      );
    }
    if (result !== 0)
      throw new DataLossError(`${what} is damaged: ${words.trim() || `${command} ended with ${result}`}`);
    const feedError = await fed;
    if (feedError !== undefined) throw feedError;
  } finally {
    child.kill();
  }
}

async function writeEntries(extractor: LayerExtractor, tar: AsyncIterable<Buffer>): Promise<void> {
  const parser = extract();
  const fed = settled(feedParser(parser, tar));
  try {
    for await (const entry of parser) {
      // tar-stream fills every field of TarHeader, byteOffset included; its types leave some out
      await writeEntry(extractor, entry.header as unknown as TarHeader, entry as EntryBody);
    }
  } finally {
    await fed; // the source is closed by now; its error reached the loop through the parser
  }
}

type EntryBody = AsyncIterable<Buffer> & { resume(): unknown };

async function writeEntry(extractor: LayerExtractor, header: TarHeader, body: EntryBody): Promise<void> {
  const file = await extractor.begin(header);
  if (file === undefined) {
    body.resume();
    return;
  }
  try {
    if (header.size > 0) for await (const chunk of body) extractor.write(file, chunk);
  } catch (error) {
    extractor.abandon(file);
    throw error;
  }
  await extractor.end(file);
}

/** Writes to a tar parser at the pace it takes; an error of the source becomes the parser's. */
export async function feedParser(parser: Extract, tar: AsyncIterable<Buffer>): Promise<void> {
  const closed = new Promise<void>((resolve) => parser.once("close", resolve));
  try {
    for await (const chunk of tar) {
      if (parser.destroying) return;
      if (parser.write(chunk)) continue;
      await Promise.race([closed, new Promise<void>((resolve) => parser.once("drain", resolve))]);
    }
    parser.end(undefined);
  } catch (error) {
    parser.destroy(error instanceof Error ? error : new DataLossError(messageOf(error)));
  }
}

async function* seen(source: AsyncIterable<Buffer>, see: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    see(chunk);
    yield chunk;
  }
}

/** The outcome as a value, for a side task whose error is looked at later. */
function settled(task: Promise<void>): Promise<unknown> {
  return task.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function firstBytesOf(file: string): Promise<Uint8Array> {
  const handle = await open(file, "r");
  try {
    const { bytesRead, buffer } = await handle.read(new Uint8Array(8), 0, 8, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

function textOf(hash: Hash): string {
  return `sha256:${hash.digest("hex")}`;
}

/**
 * A refusal of the machine (disk full, no permission) is no fault of the layer. zlib's own errors have codes
 * Z_…
 */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}
