/**
 * Writes the entries of one layer into a folder, in the form overlayfs reads: whiteouts become character
 * devices 0:0, opaque folders carry trusted.overlay.opaque.
 * Edge: to the file system, by synchronous calls (the fast ones); it runs in a worker thread.
 * Invariant: nothing is written, linked or followed outside the root. The parents of a name are real folders
 * of this layer: each is looked at once, and symbolic links among them are resolved here, never by the
 * kernel.
 * Source: OCI image-spec 1.1 layer.md (whiteouts); kernel Documentation/filesystems/overlayfs.rst.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { InvalidArgumentError, messageOf, ResourceExhaustedError } from "../../base/errors/errors.js";
import { mtimeSecondsOf, ownerOf, partsOfName, type TarHeader, xattrNamesOf } from "./layer-entry.js";

/** The two things Node cannot do; each may cross to another thread. */
export interface KernelCalls {
  makeNode(options: {
    path: string;
    kind: "char" | "block" | "fifo";
    mode: number;
    major: number;
    minor: number;
  }): void | Promise<void>;
  setXattr(path: string, name: string, value: Uint8Array): void | Promise<void>;
}

export interface LayerExtractorOptions {
  /** An empty folder. */
  readonly root: string;
  /** Name of the layer in error messages. */
  readonly layer: string;
  readonly kernel: KernelCalls;
  /** Refused beyond: protects the disk from a small archive that unpacks without end. */
  readonly unpackedBytesMax: number;
  /** Refused beyond: protects the inodes. */
  readonly entryCountMax: number;
  /** The raw value of an extended attribute of this entry. */
  readonly xattrValue: (header: TarHeader, name: string) => Uint8Array;
}

const WHITEOUT_PREFIX = ".wh.";
const OPAQUE_NAME = ".wh..wh..opq";
/** As Linux has it for a path walk. */
const LINKS_FOLLOWED_MAX = 40;
const PARENT_MODE = 0o755;
const OPAQUE = { name: "trusted.overlay.opaque", value: new Uint8Array([0x79]) } as const; // "y"

export class LayerExtractor {
  readonly #options: LayerExtractorOptions;
  /** Names as written -> real folder below the root, for parents already looked at. */
  readonly #parents = new Map<string, string>();
  /** Folder times are set last, because each entry made inside changes them. */
  readonly #folderTimes = new Map<string, number>();
  #sizeBytes = 0;
  #entryCount = 0;

  constructor(options: LayerExtractorOptions) {
    this.#options = options;
  }

  /** Sum of the sizes of regular files written so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Makes everything of an entry but a file's bytes. @returns the open file for the bytes of a regular file.
   * @throws {InvalidArgumentError} naming path and layer when the entry would leave the root or cannot be
   * understood.
   */
  async begin(header: TarHeader): Promise<OpenFile | undefined> {
    this.#entryCount += 1;
    if (this.#entryCount > this.#options.entryCountMax) {
      throw new ResourceExhaustedError(
        `layer ${this.#options.layer} has more than ${this.#options.entryCountMax} entries`,
      );
    }
    const parts = partsOfName(header.name, this.#options.layer);
    const base = parts.at(-1);
    if (base === undefined) {
      if (header.type === "directory") await this.#finishFolder("", header);
      return undefined;
    }
    const parent = await this.#resolveParent(parts.slice(0, -1), header.name);
    if (base.startsWith(WHITEOUT_PREFIX)) {
      await this.#writeWhiteout(parent, base, header.name);
      return undefined;
    }
    const path = joinBelow(parent, base);
    if (header.type === "directory") {
      await this.#makeFolder(path);
      await this.#finishFolder(path, header);
      return undefined;
    }
    if (isFile(header)) return this.#openFile(path, header);
    if (header.type !== "link") this.#clear(path);
    return await this.#make(path, header);
  }

  /**
   * Ends a file begun by `begin`: owner before mode, because a change of owner drops setuid and capabilities.
   */
  async end(file: OpenFile): Promise<void> {
    const { header, fd } = file;
    const { uid, gid } = ownerOf(header);
    try {
      fchownSync(fd, uid, gid);
      fchmodSync(fd, header.mode & 0o7777);
      await this.#setXattrs(file.path, header);
      const mtime = mtimeSecondsOf(header);
      futimesSync(fd, mtime, mtime);
    } finally {
      closeSync(fd);
    }
  }

  write(file: OpenFile, chunk: Uint8Array): void {
    this.#sizeBytes += chunk.byteLength;
    if (this.#sizeBytes > this.#options.unpackedBytesMax) {
      throw new ResourceExhaustedError(
        `layer ${this.#options.layer} unpacks to more than ${this.#options.unpackedBytesMax} bytes`,
      );
    }
    let offset = 0;
    while (offset < chunk.byteLength) offset += writeSync(file.fd, chunk, offset);
  }

  abandon(file: OpenFile): void {
    closeSync(file.fd);
  }

  /** After the last entry. */
  finish(): void {
    for (const [path, mtime] of this.#folderTimes) {
      if (this.#lstat(path)?.isDirectory() === true) utimesSync(this.#absolute(path), mtime, mtime);
    }
  }

  async #make(path: string, header: TarHeader): Promise<OpenFile | undefined> {
    const target = this.#absolute(path);
    switch (header.type) {
      case "symlink":
        symlinkSync(header.linkname ?? "", target);
        break;
      case "link":
        await this.#makeHardLink(path, header);
        return undefined; // it shares its target's inode: owner, mode and times are there already
      case "character-device":
      case "block-device":
      case "fifo":
        await this.#options.kernel.makeNode({
          path: target,
          kind: header.type === "fifo" ? "fifo" : header.type === "block-device" ? "block" : "char",
          mode: header.mode & 0o7777,
          major: header.devmajor,
          minor: header.devminor,
        });
        break;
      default:
        throw this.#refuse(header.name, "has a type that is not supported (a sparse file?)");
    }
    const { uid, gid } = ownerOf(header);
    lchownSync(target, uid, gid);
    if (header.type !== "symlink") chmodSync(target, header.mode & 0o7777);
    await this.#setXattrs(path, header);
    const mtime = mtimeSecondsOf(header);
    lutimesSync(target, mtime, mtime);
    return undefined;
  }

  /** Most names are new: the look whether something stands there is left to the kernel. */
  #openFile(path: string, header: TarHeader): OpenFile {
    const target = this.#absolute(path);
    try {
      return { fd: openSync(target, "wx", 0o600), path, header };
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    this.#clear(path);
    return { fd: openSync(target, "wx", 0o600), path, header };
  }

  async #makeHardLink(path: string, header: TarHeader): Promise<void> {
    const linkname = header.linkname ?? "";
    const parts = partsOfName(linkname, this.#options.layer);
    const base = parts.at(-1);
    const parent = base === undefined ? undefined : await this.#walk(parts.slice(0, -1), header.name, false);
    const source = parent === undefined || base === undefined ? undefined : joinBelow(parent, base);
    const found = source === undefined ? undefined : this.#lstat(source);
    if (source === undefined || found === undefined || found.isDirectory()) {
      throw this.#refuse(
        header.name,
        `is a hard link to ${JSON.stringify(linkname)}, which is no file of this layer`,
      );
    }
    if (source === path) return;
    this.#clear(path);
    linkSync(this.#absolute(source), this.#absolute(path));
  }

  async #makeFolder(path: string): Promise<void> {
    const existing = this.#lstat(path);
    if (existing?.isDirectory() === true) return;
    const hides = existing !== undefined && isWhiteout(existing);
    this.#clear(path);
    mkdirSync(this.#absolute(path), PARENT_MODE);
    chmodSync(this.#absolute(path), PARENT_MODE); // whatever the umask says
    if (hides) await this.#setOpaque(path); // what lies below stays hidden, though the folder is new
  }

  async #finishFolder(path: string, header: TarHeader): Promise<void> {
    const { uid, gid } = ownerOf(header);
    chownSync(this.#absolute(path), uid, gid);
    chmodSync(this.#absolute(path), header.mode & 0o7777);
    await this.#setXattrs(path, header);
    this.#folderTimes.set(path, mtimeSecondsOf(header));
  }

  async #writeWhiteout(parent: string, base: string, name: string): Promise<void> {
    if (base === OPAQUE_NAME) return await this.#setOpaque(parent);
    if (base.startsWith(".wh..wh.")) return; // bookkeeping of aufs, without meaning here
    const hidden = base.slice(WHITEOUT_PREFIX.length);
    if (hidden === "" || hidden === "." || hidden === "..")
      throw this.#refuse(name, "is a whiteout of no file");
    const path = joinBelow(parent, hidden);
    const existing = this.#lstat(path);
    if (existing?.isDirectory() === true) return await this.#setOpaque(path);
    // whiteouts speak of lower layers: a file of this layer hides them anyway
    if (existing !== undefined) return;
    await this.#options.kernel.makeNode({
      path: this.#absolute(path),
      kind: "char",
      mode: 0,
      major: 0,
      minor: 0,
    });
  }

  async #setOpaque(path: string): Promise<void> {
    await this.#options.kernel.setXattr(this.#absolute(path), OPAQUE.name, OPAQUE.value);
  }

  async #setXattrs(path: string, header: TarHeader): Promise<void> {
    if (header.pax === null) return;
    for (const name of xattrNamesOf(header)) {
      try {
        await this.#options.kernel.setXattr(
          this.#absolute(path),
          name,
          this.#options.xattrValue(header, name),
        );
      } catch (error) {
        // A file system without them, or user.* on a link or device: the file works without. Capabilities
        // must be kept.
        const bearable = /ENOTSUP|EOPNOTSUPP|EPERM/.test(messageOf(error)) && name !== "security.capability";
        if (!bearable) throw error;
      }
    }
  }

  /** Takes away what stands at a path, so that a later entry of the same name wins. */
  #clear(path: string): void {
    const existing = this.#lstat(path);
    if (existing === undefined) return;
    if (existing.isDirectory() || existing.isSymbolicLink()) this.#parents.clear();
    rmSync(this.#absolute(path), { recursive: true });
  }

  async #resolveParent(parts: readonly string[], name: string): Promise<string> {
    const key = parts.join("/");
    const known = this.#parents.get(key);
    if (known !== undefined) return known;
    const folder = await this.#walk(parts, name, true);
    if (folder === undefined) throw this.#refuse(name, "has no parent folder");
    this.#parents.set(key, folder);
    return folder;
  }

  /** Walks to a folder. Missing ones are made when `create`, except those a symbolic link speaks of. */
  async #walk(parts: readonly string[], name: string, create: boolean): Promise<string | undefined> {
    const pending = parts.map((part) => ({ part, fromLink: false })).reverse();
    const current: string[] = [];
    let linksFollowed = 0;
    for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
      if (step.part === "..") {
        if (current.pop() === undefined)
          throw this.#refuse(name, "goes through a symbolic link that leaves the root");
        continue;
      }
      const path = [...current, step.part].join("/");
      const found = this.#lstat(path);
      if (found?.isSymbolicLink() === true) {
        linksFollowed += 1;
        if (linksFollowed > LINKS_FOLLOWED_MAX)
          throw this.#refuse(name, "goes through too many symbolic links");
        const target = readlinkSync(this.#absolute(path));
        if (target.startsWith("/")) current.length = 0; // the container's root, which is ours
        const targetParts = target.split("/").filter((part) => part !== "" && part !== ".");
        pending.push(...targetParts.map((part) => ({ part, fromLink: true })).reverse());
        continue;
      }
      if (found === undefined || isWhiteout(found)) {
        if (step.fromLink)
          throw this.#refuse(name, "goes through a symbolic link that leaves the root or leads nowhere");
        if (!create) return undefined;
        await this.#makeFolder(path);
      } else if (!found.isDirectory()) {
        throw this.#refuse(name, `has a parent that is no folder (${JSON.stringify(path)})`);
      }
      current.push(step.part);
    }
    return current.join("/");
  }

  #lstat(path: string): Stats | undefined {
    return lstatSync(this.#absolute(path), { throwIfNoEntry: false });
  }

  #absolute(path: string): string {
    return join(this.#options.root, path);
  }

  #refuse(name: string, why: string): InvalidArgumentError {
    return new InvalidArgumentError(
      `layer ${this.#options.layer}: path ${JSON.stringify(name.slice(0, 300))} ${why}`,
    );
  }
}

export interface OpenFile {
  readonly fd: number;
  readonly path: string;
  readonly header: TarHeader;
}

function isFile(header: TarHeader): boolean {
  return header.type === "file" || header.type === "contiguous-file";
}

function joinBelow(parent: string, base: string): string {
  return parent === "" ? base : `${parent}/${base}`;
}

function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}
