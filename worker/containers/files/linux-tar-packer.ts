/**
 * Makes the tar of a path in a container while it is read. Edge: to the file system, by synchronous calls.
 * Invariants: a chunk is made when it is asked for, so memory is one chunk; the tar stays well-formed when
 * files change meanwhile: each has the size its header says, cut or filled with zeros.
 * Source: moby's order and names (parents before children, names sorted by their bytes).
 */
import { closeSync, readdirSync, readSync, type Stats } from "node:fs";
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import { at, DEPTH_MAX, type Folder, isCode, type RootView, textAt } from "./linux-root-view.js";
import {
  type ByteName,
  TAR_END_BYTES,
  type TarEntry,
  type TarXattr,
  tarHeader,
  tarPadding,
} from "./tar-entry.js";

export const CHUNK_BYTES = 1 << 18;

export interface PackOptions {
  readonly view: RootView;
  readonly readXattrs: (path: string) => readonly TarXattr[];
  /** Volumes and binds appear as empty folders or files. */
  readonly withoutMounts?: boolean;
}

export interface PackedPath {
  readonly folder: Folder;
  readonly name: ByteName;
  /** What it is called in the tar; children stand below. "": children alone, without a folder before them. */
  readonly as: ByteName;
}

/** @returns chunks with memory of their own: they may be given away. */
export function* tarOf(options: PackOptions, path: PackedPath): Generator<Uint8Array> {
  const packer = new Packer(options);
  yield* packer.pack(path.folder, path.name, path.as, 0);
  yield* packer.end();
}

class Packer {
  readonly #options: PackOptions;
  /** Names of files with several links, by device and inode, to write the further ones as links. */
  readonly #linked = new Map<string, ByteName>();
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #used = 0;

  constructor(options: PackOptions) {
    this.#options = options;
  }

  *pack(folder: Folder, name: ByteName, as: ByteName, depth: number): Generator<Uint8Array> {
    const { view } = this.#options;
    const stats = view.find(folder, name);
    if (stats === undefined) return; // gone meanwhile
    if (stats.isDirectory()) {
      yield* this.#packFolder(folder, name, as, { stats, depth });
    } else if (stats.isFile()) {
      yield* this.#packFile(folder, name, as, stats);
    } else if (!stats.isSocket()) {
      const entry = this.#entryOf(folder, name, as, stats);
      if (entry !== undefined) yield* this.#write(tarHeader(entry));
    }
  }

  *end(): Generator<Uint8Array> {
    yield* this.#write(Buffer.alloc(TAR_END_BYTES));
    if (this.#used > 0) yield this.#chunk.subarray(0, this.#used);
  }

  *#packFolder(
    parent: Folder,
    name: ByteName,
    as: ByteName,
    { stats, depth }: { stats: Stats; depth: number },
  ): Generator<Uint8Array> {
    const { view, withoutMounts } = this.#options;
    if (depth > DEPTH_MAX) throw new InvalidArgumentError(`folders are nested deeper than ${DEPTH_MAX}`);
    const entry =
      as === "" ? undefined : this.#entryOf(parent, name, as.endsWith("/") ? as : `${as}/`, stats);
    if (entry !== undefined) yield* this.#write(tarHeader(entry));
    if (withoutMounts === true && name !== "" && view.isMount(parent, name)) return;
    let folder: Folder;
    try {
      folder = view.openFolder(parent, name);
    } catch (error) {
      if (isCode(error, "ENOENT", "ENOTDIR", "ELOOP")) return; // replaced meanwhile
      throw error;
    }
    try {
      const prefix = as === "" || as.endsWith("/") ? as : `${as}/`;
      const names = readdirSync(at(folder, "."), { encoding: "latin1" }).sort();
      for (const child of names) yield* this.pack(folder, child, `${prefix}${child}`, depth + 1);
    } finally {
      closeSync(folder.fd);
    }
  }

  *#packFile(folder: Folder, name: ByteName, as: ByteName, stats: Stats): Generator<Uint8Array> {
    const key = `${stats.dev}:${stats.ino}`;
    const earlier = stats.nlink > 1 ? this.#linked.get(key) : undefined;
    if (earlier !== undefined) {
      const link = this.#entryOf(folder, name, as, stats);
      if (link === undefined) return;
      yield* this.#write(tarHeader({ ...link, kind: "link", linkName: earlier, sizeBytes: 0, xattrs: [] }));
      return;
    }
    let fd: number | undefined;
    try {
      fd = this.#options.view.openFile(folder, name);
    } catch (error) {
      if (!isCode(error, "ENOENT", "ELOOP", "ENXIO")) throw error; // replaced meanwhile
    }
    if (fd === undefined) return;
    try {
      const entry = this.#entryOf(folder, name, as, stats);
      if (entry === undefined) return;
      if (stats.nlink > 1) this.#linked.set(key, as);
      yield* this.#write(tarHeader(entry));
      yield* this.#copy(fd, entry.sizeBytes);
      yield* this.#write(Buffer.alloc(tarPadding(entry.sizeBytes)));
    } finally {
      closeSync(fd);
    }
  }

  *#copy(fd: number, sizeBytes: number): Generator<Uint8Array> {
    let ended = false;
    for (let left = sizeBytes; left > 0; ) {
      const room = Math.min(left, CHUNK_BYTES - this.#used);
      const read = ended ? 0 : readSync(fd, this.#chunk, this.#used, room, null);
      if (read === 0) {
        ended = true; // it became shorter: the rest is zeros
        this.#chunk.fill(0, this.#used, this.#used + room);
      }
      const taken = ended ? room : read;
      this.#used += taken;
      left -= taken;
      if (this.#used === CHUNK_BYTES) yield this.#full();
    }
  }

  *#write(bytes: Uint8Array): Generator<Uint8Array> {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + CHUNK_BYTES - this.#used);
      this.#chunk.set(part, this.#used);
      this.#used += part.length;
      done += part.length;
      if (this.#used === CHUNK_BYTES) yield this.#full();
    }
  }

  #full(): Uint8Array {
    const full = this.#chunk;
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#used = 0;
    return full;
  }

  /** @returns undefined for what is gone or became another thing. */
  #entryOf(folder: Folder, name: ByteName, as: ByteName, stats: Stats): TarEntry | undefined {
    const kind = kindOf(stats);
    if (kind === undefined) return undefined;
    let linkName = "";
    if (kind === "symlink") {
      try {
        linkName = this.#options.view.readLink(folder, name);
      } catch (error) {
        if (isCode(error, "ENOENT", "EINVAL")) return undefined;
        throw error;
      }
    }
    const isDevice = kind === "char" || kind === "block";
    const device = BigInt(stats.rdev);
    return {
      name: as,
      kind,
      mode: stats.mode & 0o7777,
      uid: stats.uid,
      gid: stats.gid,
      mtimeSeconds: Math.floor(stats.mtimeMs / 1000),
      sizeBytes: kind === "file" ? stats.size : 0,
      linkName,
      major: isDevice ? Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)) : 0,
      minor: isDevice ? Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)) : 0,
      xattrs: kind === "file" || kind === "folder" ? this.#xattrs(folder, name) : [],
    };
  }

  /** File capabilities and the owner's own attributes; labels and overlayfs's marks belong to this machine. */
  #xattrs(folder: Folder, name: ByteName): readonly TarXattr[] {
    const path = textAt(folder, name === "" ? "." : name);
    if (path === undefined || this.#options.view.isMount(folder, name)) return [];
    try {
      return this.#options
        .readXattrs(path)
        .filter((xattr) => xattr.name === "security.capability" || /^user\.(?!overlay\.)/.test(xattr.name));
    } catch (error) {
      if (error instanceof Error && /ENOENT|ELOOP|ENOTDIR|EPERM/.test(error.message)) return [];
      throw error;
    }
  }
}

function kindOf(stats: Stats): TarEntry["kind"] | undefined {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "folder";
  if (stats.isSymbolicLink()) return "symlink";
  if (stats.isFIFO()) return "fifo";
  if (stats.isCharacterDevice()) return "char";
  return stats.isBlockDevice() ? "block" : undefined;
}
