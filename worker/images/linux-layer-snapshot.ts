/**
 * A copy of a container's writable layer (overlayfs upper) as a layer folder, and the sum of its tar.
 * Edge: to the file system by synchronous calls, and to system calls of this thread; it runs in a worker
 * thread.
 * Invariant: the copy shares nothing with its source, so the container may go on writing; the sum is of the
 * copy. Files that vanish meanwhile are left out.
 * Source: kernel Documentation/filesystems/overlayfs.rst; OCI image-spec 1.1 layer.md.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { InvalidArgumentError, ResourceExhaustedError } from "../../base/errors/errors.js";
import { readXattrs } from "../../base/linux/linux-koffi-xattrs.js";
import type { KernelCalls } from "./linux-layer-extractor.js";
import {
  deviceOf,
  isPortable,
  isWhiteout,
  sortedNamesIn,
  sumLayer,
  type TarSum,
} from "./linux-layer-pack.js";

export interface SnapshotRequest {
  /** The upper folder. */
  readonly source: string;
  /** An empty folder. */
  readonly root: string;
  readonly unpackedBytesMax: number;
  readonly entryCountMax: number;
}

export interface SnapshotResult extends TarSum {
  /** Sum of the sizes of its regular files. */
  readonly sizeBytes: number;
}

const COPY_CHUNK_BYTES = 1 << 18;
/** Zeros in whole pieces of this size become holes. */
const HOLE_BYTES = 1 << 16;
const OPAQUE_XATTR = "trusted.overlay.opaque";
const NO_FOLLOW = 0o400000;

export async function snapshotLayer(request: SnapshotRequest, kernel: KernelCalls): Promise<SnapshotResult> {
  const copier = new LayerCopier(request, kernel);
  await copier.copyFolder("");
  return { ...sumLayer(request.root), sizeBytes: copier.sizeBytes };
}

class LayerCopier {
  readonly #request: SnapshotRequest;
  readonly #kernel: KernelCalls;
  /** Inode of a file with several names -> its first name here. */
  readonly #hardLinks = new Map<string, string>();
  readonly #buffer = Buffer.allocUnsafe(COPY_CHUNK_BYTES);
  #entryCount = 0;
  sizeBytes = 0;

  constructor(request: SnapshotRequest, kernel: KernelCalls) {
    this.#request = request;
    this.#kernel = kernel;
  }

  async copyFolder(folder: string): Promise<void> {
    const names = unlessGone(() => sortedNamesIn(join(this.#request.source, folder))) ?? [];
    for (const base of names) {
      this.#entryCount += 1;
      if (this.#entryCount > this.#request.entryCountMax)
        throw new ResourceExhaustedError(
          `the container's layer has more than ${this.#request.entryCountMax} entries`,
        );
      await this.#copy(folder === "" ? base : `${folder}/${base}`);
    }
  }

  async #copy(name: string): Promise<void> {
    const from = join(this.#request.source, name);
    const to = join(this.#request.root, name);
    const stats = unlessGone(() => lstatSync(from));
    if (stats === undefined || stats.isSocket()) return;
    if (isWhiteout(stats))
      return await this.#kernel.makeNode({ path: to, kind: "char", mode: 0, major: 0, minor: 0 });
    if (stats.isDirectory()) {
      mkdirSync(to, 0o700);
      await this.copyFolder(name);
      chownSync(to, stats.uid, stats.gid);
      chmodSync(to, stats.mode & 0o7777);
      await this.#copyXattrs(from, to);
      utimesSync(to, secondsOf(stats), secondsOf(stats)); // last: each entry made inside changes it
      return;
    }
    if (stats.nlink > 1) {
      const inode = `${stats.dev}:${stats.ino}`;
      const first = this.#hardLinks.get(inode);
      if (first !== undefined) return linkSync(join(this.#request.root, first), to);
      if (!(await this.#copyLeaf(from, to, stats))) return;
      this.#hardLinks.set(inode, name);
      return;
    }
    await this.#copyLeaf(from, to, stats);
  }

  /** @returns false when it has vanished. */
  async #copyLeaf(from: string, to: string, stats: Stats): Promise<boolean> {
    if (stats.isFile()) return await this.#copyFile(from, to);
    if (stats.isSymbolicLink()) {
      const target = unlessGone(() => readlinkSync(from));
      if (target === undefined) return false;
      symlinkSync(target, to);
    } else {
      const kind = stats.isFIFO() ? "fifo" : stats.isBlockDevice() ? "block" : "char";
      const numbers = kind === "fifo" ? { major: 0, minor: 0 } : deviceOf(stats.rdev);
      await this.#kernel.makeNode({ path: to, kind, mode: stats.mode & 0o7777, ...numbers });
    }
    lchownSync(to, stats.uid, stats.gid);
    if (!stats.isSymbolicLink()) chmodSync(to, stats.mode & 0o7777);
    await this.#copyXattrs(from, to);
    lutimesSync(to, secondsOf(stats), secondsOf(stats));
    return true;
  }

  async #copyFile(from: string, to: string): Promise<boolean> {
    const source = unlessGone(() => openSync(from, NO_FOLLOW));
    if (source === undefined) return false;
    try {
      const target = openSync(to, "wx", 0o600);
      try {
        const stats = fstatSync(source);
        this.#copyBytes(source, target, stats);
        fchownSync(target, stats.uid, stats.gid);
        fchmodSync(target, stats.mode & 0o7777);
        await this.#copyXattrs(from, to);
        futimesSync(target, secondsOf(stats), secondsOf(stats));
      } finally {
        closeSync(target);
      }
    } finally {
      closeSync(source);
    }
    return true;
  }

  /** As many bytes as the file had when it was opened; one that shrinks meanwhile ends in a hole. */
  #copyBytes(source: number, target: number, stats: Stats): void {
    this.sizeBytes += stats.size;
    if (this.sizeBytes > this.#request.unpackedBytesMax)
      throw new ResourceExhaustedError(
        `the container's layer has more than ${this.#request.unpackedBytesMax} bytes`,
      );
    const sparse = stats.blocks * 512 < stats.size;
    for (let offset = 0; offset < stats.size; ) {
      const count = readSync(
        source,
        this.#buffer,
        0,
        Math.min(this.#buffer.length, stats.size - offset),
        offset,
      );
      if (count === 0) break;
      writePart(target, this.#buffer.subarray(0, count), offset, sparse);
      offset += count;
    }
    ftruncateSync(target, stats.size);
  }

  async #copyXattrs(from: string, to: string): Promise<void> {
    const attributes = unlessGone(() => readXattrs(from)) ?? [];
    for (const { name, value } of attributes) {
      if (name === "trusted.overlay.redirect" || name === "trusted.overlay.metacopy")
        throw new InvalidArgumentError(
          `${from} refers to a lower layer (${name}): the kernel's overlay options redirect_dir and metacopy ` +
            "must be off",
        );
      if (isPortable(name) || name === OPAQUE_XATTR) await this.#kernel.setXattr(to, name, value);
    }
  }
}

function writePart(target: number, bytes: Buffer, offset: number, sparse: boolean): void {
  for (let at = 0; at < bytes.length; at += HOLE_BYTES) {
    const part = sparse ? bytes.subarray(at, at + HOLE_BYTES) : bytes;
    if (!sparse || part.some((byte) => byte !== 0)) {
      for (let done = 0; done < part.length; )
        done += writeSync(target, part, done, part.length - done, offset + at + done);
    }
    if (!sparse) return;
  }
}

function secondsOf(stats: Stats): number {
  return Math.max(0, Math.floor(stats.mtimeMs / 1000));
}

/** The container may be running: what is gone now is not in the layer. */
function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    if (error instanceof Error && error.message.endsWith("ENOENT")) return undefined;
    throw error;
  }
}
