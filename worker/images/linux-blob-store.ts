/**
 * Content-addressed blobs, `blobs/sha256/<hex>`: configs, manifests, and layers as they came, so that they
 * can go on as they came.
 * Edge: to the file system. Invariant: a file under its digest has that digest; it comes there by rename,
 * after its sum was right.
 * Source: OCI image-spec 1.1 (descriptors).
 */
import { createHash } from "node:crypto";
import { createReadStream, renameSync } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataLossError } from "../../base/errors/errors.js";
import { hexOf, sha256Of } from "./chain-ids.js";

const READ_CHUNK_BYTES = 1 << 18;

export class BlobStore {
  readonly #dir: string;
  readonly #temporaryPath: (what: string) => string;

  private constructor(dir: string, temporaryPath: (what: string) => string) {
    this.#dir = dir;
    this.#temporaryPath = temporaryPath;
  }

  /** @param options.temporaryPath gives fresh paths on the same file system. */
  static async open(options: { dir: string; temporaryPath: (what: string) => string }): Promise<BlobStore> {
    const dir = join(options.dir, "blobs", "sha256");
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return new BlobStore(dir, options.temporaryPath);
  }

  path(digest: string): string {
    return join(this.#dir, hexOf(digest));
  }

  async has(digest: string): Promise<boolean> {
    try {
      await stat(this.path(digest));
      return true;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
      throw error;
    }
  }

  async digests(): Promise<readonly string[]> {
    return (await readdir(this.#dir)).map((hex) => `sha256:${hex}`);
  }

  /** @throws {DataLossError} when the file no longer has its digest. */
  async read(digest: string): Promise<Uint8Array> {
    const bytes = await readFile(this.path(digest));
    if (sha256Of(bytes) !== digest) throw new DataLossError(`blob ${digest} on this node is damaged`);
    return bytes;
  }

  /** @returns the digest of the bytes. */
  async put(bytes: Uint8Array): Promise<string> {
    const digest = sha256Of(bytes);
    if (await this.has(digest)) return digest;
    await using writer = await this.write({ digest, sizeBytes: bytes.byteLength });
    await writer.write(bytes);
    await writer.commit();
    return digest;
  }

  async write(expected: { digest: string; sizeBytes: number }): Promise<BlobWriter> {
    const path = this.#temporaryPath("blob");
    return new BlobWriter(await open(path, "wx", 0o600), path, this.path(expected.digest), expected);
  }

  /**
   * Takes a file of the same file system in, whose digest the caller has just found; its old name stays.
   * @returns its size.
   */
  async adopt(path: string, digest: string): Promise<number> {
    const { size } = await stat(path);
    try {
      await link(path, this.path(digest));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    return size;
  }

  /** The bytes from an offset on. Opened when it is read: what nobody reads holds no file, and fails nobody. */
  async *stream(digest: string, offset: number): AsyncGenerator<Uint8Array> {
    yield* createReadStream(this.path(digest), { start: offset, highWaterMark: READ_CHUNK_BYTES });
  }

  async sizeOf(digest: string): Promise<number> {
    return (await stat(this.path(digest))).size;
  }

  /**
   * Missing is fine. It is gone from its place before this returns to the event loop, so a look-up sees the
   * truth.
   */
  async remove(digest: string): Promise<void> {
    const doomed = this.#temporaryPath("removed");
    try {
      renameSync(this.path(digest), doomed);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
      throw error;
    }
    await rm(doomed, { force: true });
  }
}

/** One blob on its way to the disk. Unless committed, disposing removes what was written. */
export class BlobWriter implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #target: string;
  readonly #expected: { readonly digest: string; readonly sizeBytes: number };
  #hash = createHash("sha256");
  #writtenBytes = 0;
  #done = false;

  constructor(
    file: FileHandle,
    path: string,
    target: string,
    expected: { digest: string; sizeBytes: number },
  ) {
    this.#file = file;
    this.#path = path;
    this.#target = target;
    this.#expected = expected;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** @throws {DataLossError} when more comes than was promised. */
  async write(chunk: Uint8Array): Promise<void> {
    const { digest, sizeBytes } = this.#expected;
    if (this.#writtenBytes + chunk.byteLength > sizeBytes) {
      throw new DataLossError(`blob ${digest} is longer than the ${sizeBytes} bytes its manifest says`);
    }
    this.#hash.update(chunk);
    let offset = 0;
    while (offset < chunk.byteLength) {
      const { bytesWritten } = await this.#file.write(
        chunk,
        offset,
        chunk.byteLength - offset,
        this.#writtenBytes + offset,
      );
      offset += bytesWritten;
    }
    this.#writtenBytes += chunk.byteLength;
  }

  /** Begins again from nothing, when the source cannot go on where it broke. */
  async restart(): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash("sha256");
    this.#writtenBytes = 0;
  }

  /** @throws {DataLossError} when size or digest differ. */
  async commit(): Promise<void> {
    const { digest, sizeBytes } = this.#expected;
    if (this.#writtenBytes !== sizeBytes) {
      throw new DataLossError(
        `blob ${digest} has ${this.#writtenBytes} bytes, its manifest says ${sizeBytes}`,
      );
    }
    const found = `sha256:${this.#hash.digest("hex")}`;
    if (found !== digest)
      throw new DataLossError(`blob ${digest} has the wrong digest: its bytes give ${found}`);
    this.#done = true;
    await this.#file.close();
    await rename(this.#path, this.#target);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    await this.#file.close();
    await rm(this.#path, { force: true });
  }
}
