/**
 * Writes the entries of a tar into a folder of a container. Edge: to the file system, by synchronous calls.
 * Invariants: nothing outside the container's root is touched, whatever names and links the tar holds and
 * whatever the container does meanwhile (linux-root-view.ts); names and hard links stay below the folder
 * named; owner, mode and times are set by handle, so that they never reach another file.
 * Source: moby's rules of what replaces what; POSIX.1-2017 pax.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  type Stats,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  messageOf,
  PermissionDeniedError,
  ResourceExhaustedError,
} from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import { at, type Folder, handle, isCode, joined, type RootView, textAt, textOf } from "./linux-root-view.js";
import { removeTree } from "./linux-tree-removal.js";
import type { ByteName, TarEntry } from "./tar-entry.js";
import type { TarSink } from "./tar-reader.js";

export interface UnpackOptions {
  readonly view: RootView;
  /** Where the names begin. */
  readonly folder: Folder;
  readonly linux: Pick<Linux, "setXattr" | "makeNode">;
  readonly noOverwriteDirNonDir: boolean;
  /** Everything is made this user's; undefined: as the tar says. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** @default 5_000_000 */
  readonly entriesMax?: number;
}

const ENTRIES_MAX = 5_000_000;
const PARENT_MODE = 0o755;
/** Folder times to set at the end; beyond, a folder gets its time at once. */
const FOLDER_TIMES_MAX = 100_000;
/** Latest and earliest time that file systems take, in seconds. */
const MTIME_SECONDS_MAX = 2 ** 33;
const O_PATH = 0o10000000;
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

export class TarUnpacker implements TarSink {
  readonly #options: UnpackOptions;
  #entries = 0;
  #file:
    | { readonly fd: number; readonly folder: Folder; readonly entry: TarEntry; readonly name: ByteName }
    | undefined;
  /** The folder last written to: most entries stand beside the one before. */
  #recent: { readonly key: ByteName; readonly folder: Folder } | undefined;
  readonly #folderTimes = new Map<ByteName, number>();

  constructor(options: UnpackOptions) {
    this.#options = options;
  }

  begin(entry: TarEntry): void {
    this.#entries += 1;
    const entriesMax = this.#options.entriesMax ?? ENTRIES_MAX;
    if (this.#entries > entriesMax)
      throw new ResourceExhaustedError(`the archive has more than ${entriesMax} entries`);
    const parts = this.#partsBelow(entry.name);
    const name = parts.pop();
    if (name === undefined) return; // the folder itself stays as it is
    if (name.length > 255) throw new InvalidArgumentError(`${quoted(entry.name)}: file name too long`);
    const folder = this.#parent(parts);
    writable(folder);
    if (this.#clear(folder, name, entry)) return;
    this.#make(folder, name, entry);
  }

  data(chunk: Uint8Array, offset: number): void {
    const file = this.#file;
    if (file === undefined) return; // of an entry that is passed over
    for (let done = 0; done < chunk.byteLength; )
      done += writeSync(file.fd, chunk, done, chunk.byteLength - done, offset + done);
  }

  end(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      const { fd, entry } = file;
      if (entry.sparse !== undefined) ftruncateSync(fd, entry.sizeBytes);
      const { uid, gid } = this.#ownerOf(entry);
      fchownSync(fd, uid, gid); // before the mode: a change of owner drops setuid
      fchmodSync(fd, entry.mode);
      this.#setXattrs(file.folder, file.name, entry);
      const mtime = timeOf(entry);
      futimesSync(fd, mtime, mtime);
    } finally {
      closeSync(file.fd);
    }
  }

  /** After the last entry: times of folders, which each entry made inside has changed. */
  finish(): void {
    for (const [path, mtime] of this.#folderTimes) {
      try {
        const folder = this.#options.view.resolveFolder(path);
        try {
          utimesSync(handle(folder.fd), mtime, mtime);
        } finally {
          closeSync(folder.fd);
        }
      } catch (error) {
        if (!isCode(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error; // moved away meanwhile
      }
    }
    this.close();
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
    if (this.#recent !== undefined) closeSync(this.#recent.folder.fd);
    this.#recent = undefined;
  }

  /** The name's parts; "." and ".." are resolved by their text. @throws {InvalidArgumentError} it leads out. */
  #partsBelow(name: ByteName): ByteName[] {
    const parts: ByteName[] = [];
    for (const part of name.split("/")) {
      if (part === "" || part === ".") continue;
      if (part !== "..") parts.push(part);
      else if (parts.pop() === undefined)
        throw new InvalidArgumentError(
          `${quoted(name)} is outside of ${quoted(`/${this.#options.folder.path}`)}`,
        );
    }
    if (name.includes("\0")) throw new InvalidArgumentError(`${quoted(name)} holds a NUL byte`);
    return parts;
  }

  /** Links on the way are followed inside the root; what is missing is made. */
  #parent(parts: readonly ByteName[]): Folder {
    const key = parts.join("/");
    if (this.#recent?.key === key) return this.#recent.folder;
    const folder = this.#openParent(parts);
    if (this.#recent !== undefined) closeSync(this.#recent.folder.fd);
    this.#recent = { key, folder };
    return folder;
  }

  #openParent(parts: readonly ByteName[]): Folder {
    const { view, folder: start } = this.#options;
    let here = view.resolveFolderFrom(start, "");
    try {
      for (const part of parts) {
        let next: Folder;
        try {
          next = view.resolveFolderFrom(here, part);
        } catch (error) {
          if (!isCode(error, "ENOENT") || view.find(here, part) !== undefined) throw error;
          writable(here);
          mkdirSync(at(here, part), { mode: PARENT_MODE });
          next = view.openFolder(here, part);
          chmodSync(handle(next.fd), PARENT_MODE); // whatever the umask says
        }
        closeSync(here.fd);
        here = next;
      }
      return here;
    } catch (error) {
      closeSync(here.fd);
      throw error;
    }
  }

  /** What stands at the name makes room, or the entry is refused. @returns true: there is nothing to do. */
  #clear(folder: Folder, name: ByteName, entry: TarEntry): boolean {
    const { view, noOverwriteDirNonDir } = this.#options;
    const existing = view.find(folder, name);
    if (existing === undefined) return false;
    const path = quoted(`/${joined(folder.path, name)}`);
    const isFolder = entry.kind === "folder";
    if (noOverwriteDirNonDir && existing.isDirectory() && !isFolder)
      throw new InvalidArgumentError(
        `cannot overwrite directory ${path} with non-directory ${this.#start()}`,
      );
    if (noOverwriteDirNonDir && !existing.isDirectory() && isFolder)
      throw new InvalidArgumentError(
        `cannot overwrite non-directory ${path} with directory ${this.#start()}`,
      );
    if (existing.isDirectory() && isFolder) return false; // merged
    if (view.isMount(folder, name))
      throw new FailedPreconditionError(`unlinkat ${path.slice(1, -1)}: device or resource busy`);
    removeTree(view, folder, name);
    return false;
  }

  #start(): string {
    return quoted(`/${this.#options.folder.path}`);
  }

  #make(folder: Folder, name: ByteName, entry: TarEntry): void {
    const path = at(folder, name);
    switch (entry.kind) {
      case "file": {
        const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
        this.#file = { fd, folder, name, entry };
        return;
      }
      case "folder":
        this.#makeFolder(folder, name, entry);
        return;
      case "link":
        this.#makeHardLink(folder, name, entry);
        return; // it shares its target's inode: owner, mode and times are there already
      case "symlink": {
        this.#checkSymlink(folder, name, entry);
        symlinkSync(Buffer.from(entry.linkName, "latin1"), path);
        const { uid, gid } = this.#ownerOf(entry);
        lchownSync(path, uid, gid);
        lutimesSync(path, timeOf(entry), timeOf(entry));
        return;
      }
      default: {
        const { kind, major, minor } = entry;
        const target = textAt(folder, name);
        if (target === undefined)
          throw new InvalidArgumentError(`the name of a device must be UTF-8, got ${quoted(entry.name)}`);
        this.#options.linux.makeNode({ path: target, kind, mode: 0o600, major, minor });
        this.#finishByHandle(folder, name, entry, (stats) => !stats.isSymbolicLink() && !stats.isDirectory());
      }
    }
  }

  #makeFolder(folder: Folder, name: ByteName, entry: TarEntry): void {
    const { view } = this.#options;
    if (view.find(folder, name) === undefined) mkdirSync(at(folder, name), { mode: 0o700 });
    const made = view.openFolder(folder, name);
    try {
      writable(made);
      const { uid, gid } = this.#ownerOf(entry);
      chownSync(handle(made.fd), uid, gid);
      chmodSync(handle(made.fd), entry.mode);
      this.#setXattrs(made, ".", entry);
      if (this.#folderTimes.size < FOLDER_TIMES_MAX) this.#folderTimes.set(made.path, timeOf(entry));
      else utimesSync(handle(made.fd), timeOf(entry), timeOf(entry));
    } finally {
      closeSync(made.fd);
    }
  }

  /** By a handle of what was just made: the name may stand for something else by now. */
  #finishByHandle(folder: Folder, name: ByteName, entry: TarEntry, is: (stats: Stats) => boolean): void {
    const fd = openSync(at(folder, name), O_PATH | O_NOFOLLOW);
    try {
      if (!is(fstatSync(fd))) return; // replaced meanwhile
      const { uid, gid } = this.#ownerOf(entry);
      chownSync(handle(fd), uid, gid);
      chmodSync(handle(fd), entry.mode);
      utimesSync(handle(fd), timeOf(entry), timeOf(entry));
    } finally {
      closeSync(fd);
    }
  }

  #makeHardLink(folder: Folder, name: ByteName, entry: TarEntry): void {
    const { view, folder: start } = this.#options;
    let parts: ByteName[];
    try {
      parts = this.#partsBelow(entry.linkName);
    } catch (error) {
      throw new InvalidArgumentError(`invalid hardlink ${quoted(entry.name)} -> ${quoted(entry.linkName)}`, {
        cause: error,
      });
    }
    const base = parts.pop();
    if (base === undefined)
      throw new InvalidArgumentError(`invalid hardlink ${quoted(entry.name)} -> ${quoted(entry.linkName)}`);
    const from = view.resolveFolderFrom(start, parts.join("/"));
    try {
      if (view.isMount(from, base))
        throw new FailedPreconditionError(`link ${quoted(entry.linkName)}: EXDEV`);
      linkSync(at(from, base), at(folder, name));
    } catch (error) {
      if (!isCode(error, "ENOENT", "EXDEV", "EPERM")) throw error;
      throw new InvalidArgumentError(
        `link ${textOf(entry.linkName)} ${textOf(entry.name)}: ${messageOf(error).split(",")[0]}`,
        { cause: error },
      );
    } finally {
      closeSync(from.fd);
    }
  }

  /** As Docker: by the text alone, a link must not speak of anything above the folder named. */
  #checkSymlink(folder: Folder, name: ByteName, entry: TarEntry): void {
    if (entry.linkName.startsWith("/")) return;
    const start = this.#options.folder.path;
    if (folder.path !== start && start !== "" && !folder.path.startsWith(`${start}/`)) return;
    const inside = folder.path.slice(start === "" ? 0 : start.length);
    let depth = inside.split("/").filter((part) => part !== "").length;
    for (const part of entry.linkName.split("/")) {
      if (part === "" || part === ".") continue;
      depth += part === ".." ? -1 : 1;
      if (depth < 0 && start !== "")
        throw new InvalidArgumentError(
          `invalid symlink ${quoted(`/${joined(folder.path, name)}`)} -> ${quoted(entry.linkName)}`,
        );
    }
  }

  #setXattrs(folder: Folder, name: ByteName, entry: TarEntry): void {
    for (const xattr of entry.xattrs) {
      const path = textAt(folder, name);
      if (path === undefined) return;
      try {
        this.#options.linux.setXattr(path, xattr.name, xattr.value);
      } catch (error) {
        // a file system without them, or not for this kind of file: it works without
        if (!/ENOTSUP|EOPNOTSUPP|EPERM|ENOENT|EINVAL/.test(messageOf(error))) throw error;
      }
    }
  }

  #ownerOf(entry: TarEntry): { readonly uid: number; readonly gid: number } {
    return this.#options.owner ?? entry;
  }
}

/** @throws {PermissionDeniedError} in Docker's words. */
export function writable(folder: Folder): void {
  if (folder.readOnly === "root") throw new PermissionDeniedError("container rootfs is marked read-only");
  if (folder.readOnly === "volume") throw new PermissionDeniedError("mounted volume is marked read-only");
}

function timeOf(entry: TarEntry): number {
  return Math.min(Math.max(entry.mtimeSeconds, -(2 ** 31)), MTIME_SECONDS_MAX);
}

function quoted(name: ByteName): string {
  return JSON.stringify(textOf(name.slice(0, 300)));
}
