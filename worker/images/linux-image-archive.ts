/**
 * A saved image set while it is read: the outer tar goes to disk file by file, because its table of contents
 * comes last.
 * Edge: to the file system. Invariant: no name of the archive becomes a path here; files are numbered, names
 * are keys.
 * Source: docker-archive layout (manifest.json), OCI image-spec 1.1 image-layout.md.
 */
import { createWriteStream } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import {
  CancelledError,
  DataLossError,
  InvalidArgumentError,
  messageOf,
  ResourceExhaustedError,
  SkeinError,
} from "../../base/errors/errors.js";
import { compressionOf, decompress, feedParser } from "./linux-layer-unpack.js";

export interface ArchiveLimits {
  /** Of all files together, unpacked. @default 64 GiB */
  readonly bytesMax: number;
  /** @default 100 000 */
  readonly entryCountMax: number;
  /** Of a JSON file read into memory. @default 4 MiB */
  readonly jsonBytesMax: number;
}

export const ARCHIVE_LIMITS: ArchiveLimits = {
  bytesMax: 64 * 2 ** 30,
  entryCountMax: 100_000,
  jsonBytesMax: 4 * 2 ** 20,
};

const LINKS_FOLLOWED_MAX = 10;
/** The longest magic number that compressionOf knows. */
const MAGIC_BYTES = 6;

export class StagedArchive {
  readonly #files: ReadonlyMap<string, string>;
  readonly #links: ReadonlyMap<string, string>;
  readonly #limits: ArchiveLimits;

  constructor(files: ReadonlyMap<string, string>, links: ReadonlyMap<string, string>, limits: ArchiveLimits) {
    this.#files = files;
    this.#links = links;
    this.#limits = limits;
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** Where the bytes of a file of the archive lie. @throws {InvalidArgumentError} not in the archive. */
  path(name: string): string {
    const path = this.#find(name);
    if (path === undefined)
      throw new InvalidArgumentError(`the archive has no file ${JSON.stringify(name.slice(0, 300))}`);
    return path;
  }

  /** @throws {InvalidArgumentError} not in the archive, or larger than a JSON file may be. */
  async readSmall(name: string): Promise<Uint8Array> {
    const path = this.path(name);
    const { size } = await stat(path);
    if (size > this.#limits.jsonBytesMax) {
      throw new InvalidArgumentError(
        `${name} in the archive has ${size} bytes, at most ${this.#limits.jsonBytesMax} are read`,
      );
    }
    return await readFile(path);
  }

  #find(name: string): string | undefined {
    let current = keyOf(name);
    for (let followed = 0; followed <= LINKS_FOLLOWED_MAX; followed += 1) {
      const link = this.#links.get(current);
      if (link === undefined) return this.#files.get(current);
      current = keyOf(link);
    }
    return undefined;
  }
}

export interface StageOptions {
  /** A folder to make; the caller removes it. */
  readonly folder: string;
  readonly limits?: ArchiveLimits;
  readonly signal?: AbortSignal | undefined;
}

/** @throws {DataLossError} damaged; {ResourceExhaustedError} over a bound; {CancelledError}. */
export async function stageArchive(
  tar: AsyncIterable<Uint8Array>,
  options: StageOptions,
): Promise<StagedArchive> {
  const limits = options.limits ?? ARCHIVE_LIMITS;
  await mkdir(options.folder, { mode: 0o700 });
  const files = new Map<string, string>();
  const links = new Map<string, string>();
  let totalBytes = 0;
  let entryCount = 0;
  const parser = extract();
  const fed = feedParser(parser, await plainTar(tar, options.signal));
  try {
    for await (const entry of parser) {
      const { name, type, size, linkname } = entry.header;
      const key = keyOf(name);
      totalBytes += size;
      if (totalBytes > limits.bytesMax)
        throw new ResourceExhaustedError(`the archive holds more than ${limits.bytesMax} bytes`);
      entryCount += 1;
      if (entryCount > limits.entryCountMax) {
        throw new ResourceExhaustedError(`the archive holds more than ${limits.entryCountMax} files`);
      }
      files.delete(key);
      links.delete(key);
      if (type === "file" || type === "contiguous-file") {
        const path = join(options.folder, String(entryCount));
        await pipeline(entry as AsyncIterable<Buffer>, createWriteStream(path, { mode: 0o600 }));
        files.set(key, path);
        continue;
      }
      // Old archives store an equal layer once, and link to it from elsewhere.
      if (type === "symlink") links.set(key, posix.join(posix.dirname(key), linkname));
      if (type === "link") links.set(key, linkname);
      entry.resume();
    }
  } catch (error) {
    if (error instanceof SkeinError || (error instanceof Error && "syscall" in error)) throw error;
    throw new DataLossError(tarErrorWords(messageOf(error)), { cause: error });
  } finally {
    await fed;
  }
  return new StagedArchive(files, links, limits);
}

/** Writes a stream to a file as it is. @throws {ResourceExhaustedError} over the bound; {CancelledError}. */
export async function stageFile(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  options: Omit<StageOptions, "folder">,
): Promise<void> {
  const bytesMax = (options.limits ?? ARCHIVE_LIMITS).bytesMax;
  await pipeline(
    bounded(bytes, bytesMax, options.signal),
    createWriteStream(path, { flags: "wx", mode: 0o600 }),
  );
}

async function plainTar(
  tar: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Buffer>> {
  const source = bounded(tar, Number.POSITIVE_INFINITY, signal);
  let head = Buffer.alloc(0);
  while (head.length < MAGIC_BYTES) {
    const next = await source.next();
    if (next.done === true) break;
    head = Buffer.concat([head, next.value]);
  }
  const compression = compressionOf(head);
  const whole = (async function* () {
    yield head;
    yield* source;
  })();
  return decompress(whole, compression, "the archive");
}

async function* bounded(
  bytes: AsyncIterable<Uint8Array>,
  bytesMax: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  let total = 0;
  for await (const chunk of bytes) {
    if (signal?.aborted === true) throw new CancelledError("reading of the archive was cancelled");
    total += chunk.byteLength;
    if (total > bytesMax) throw new ResourceExhaustedError(`more than ${bytesMax} bytes were sent`);
    yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
}

/** As the stock daemon tells of an archive it cannot read. */
export function tarErrorWords(words: string): string {
  const told = /Unexpected end of data/i.test(words)
    ? "unexpected EOF"
    : /Invalid tar header/i.test(words)
      ? "archive/tar: invalid tar header"
      : words;
  return `Error processing tar file(exit status 1): ${told}`;
}

function keyOf(name: string): string {
  return posix.join("/", name).slice(1).replace(/\/$/, "");
}
