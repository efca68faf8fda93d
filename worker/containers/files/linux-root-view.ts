/**
 * A container's files as the container sees them: its root with the volumes, binds and tmpfs in their places.
 * Edge: to the file system, by synchronous calls; it runs in a worker thread.
 * Invariant: nothing outside is reached, whatever a process in the container does meanwhile. Every step of a
 * path is one name opened by the handle of its folder, and never a symbolic link: links are read and followed
 * here, by their text, with the container's root as "/". ".." is the folder we came through.
 * Handles are used as /proc/<pid>/fd/<n>/<name>: the kernel goes straight to the folder, wherever it is now.
 * Source: openat(2), proc(5), symlink(7).
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, type Stats } from "node:fs";
import type { ByteName } from "./tar-entry.js";

/** One mount of the container, by a path of the host that nobody in the container can bend. */
export interface MountSource {
  /** Absolute, in the container; links on the way are followed as the runtime does. */
  readonly target: string;
  /** On the host. */
  readonly base: string;
  /** Below base; links are followed with base as "/". */
  readonly path: string;
  readonly readOnly: boolean;
}

export interface RootSource {
  /** On the host. */
  readonly root: string;
  readonly readOnly: boolean;
  readonly mounts: readonly MountSource[];
}

/** An open folder. */
export interface Folder {
  readonly fd: number;
  /** In the container, without a slash at either end; "" is the root. */
  readonly path: ByteName;
  /** What the refusal of a write says; undefined: it may be written to. */
  readonly readOnly: "root" | "volume" | undefined;
}

export interface Place {
  readonly folder: Folder;
  /** "" for the root itself, whose folder is the root. */
  readonly name: ByteName;
}

/** Not in Node's table: a handle without the right to read. */
const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW;
/** As Docker has it. */
const LINKS_MAX = 255;
/** Of one path, folders open at the same time: a hostile tree must not use up the process's handles. */
export const DEPTH_MAX = 1024;

interface Mounted {
  readonly fd: number;
  readonly readOnly: Folder["readOnly"];
}

/** An errno as node:fs throws it, for refusals of our own. */
export class PathError extends Error {
  readonly code: string;

  constructor(code: string, path: string) {
    super(`${code}: ${JSON.stringify(path)}`);
    this.code = code;
  }
}

export class RootView {
  readonly root: Folder;
  readonly #mounts = new Map<ByteName, Mounted>();

  private constructor(root: Folder) {
    this.root = root;
  }

  /** @throws errno errors when the root cannot be opened; a mount's source that is not there is left out. */
  static open(source: RootSource): RootView {
    const fd = openSync(source.root, O_PATH | O_DIRECTORY);
    const view = new RootView({ fd, path: "", readOnly: source.readOnly ? "root" : undefined });
    try {
      const byDepth = [...source.mounts].sort((a, b) => depthOf(a.target) - depthOf(b.target));
      for (const mount of byDepth) view.#addMount(mount);
    } catch (error) {
      view.close();
      throw error;
    }
    return view;
  }

  #addMount(mount: MountSource): void {
    const key = this.canonical(bytesOf(mount.target));
    if (key === "") return;
    const fd = openInside(mount.base, bytesOf(mount.path));
    if (fd === undefined) return;
    const old = this.#mounts.get(key);
    if (old !== undefined) closeSync(old.fd);
    this.#mounts.set(key, { fd, readOnly: mount.readOnly ? "volume" : undefined });
  }

  close(): void {
    for (const { fd } of this.#mounts.values()) closeSync(fd);
    this.#mounts.clear();
    closeSync(this.root.fd);
  }

  isMount(folder: Folder, name: ByteName): boolean {
    return this.#mounts.has(joined(folder.path, name));
  }

  /** What a name is, not what it points to. @throws errno errors */
  stat(folder: Folder, name: ByteName): Stats {
    const mount = this.#mounts.get(joined(folder.path, name));
    if (mount !== undefined) return fstatSync(mount.fd);
    return name === "" ? fstatSync(folder.fd) : lstatSync(at(folder, name));
  }

  /** As stat; undefined when there is nothing. */
  find(folder: Folder, name: ByteName): Stats | undefined {
    try {
      return this.stat(folder, name);
    } catch (error) {
      if (isCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** @throws errno errors: ENOTDIR also for a symbolic link. The caller closes it. */
  openFolder(folder: Folder, name: ByteName): Folder {
    if (name === "") return { ...folder, fd: openSync(`${handle(folder.fd)}/.`, FOLDER_FLAGS) };
    const path = joined(folder.path, name);
    const mount = this.#mounts.get(path);
    if (mount === undefined)
      return { fd: openSync(at(folder, name), FOLDER_FLAGS), path, readOnly: folder.readOnly };
    return {
      fd: openSync(`${handle(mount.fd)}/.`, FOLDER_FLAGS),
      path,
      readOnly: mount.readOnly,
    };
  }

  /** For reading; never waits for a fifo's writer. @returns undefined when it is no regular file (any more). */
  openFile(folder: Folder, name: ByteName): number | undefined {
    const mount = this.#mounts.get(joined(folder.path, name));
    const fd =
      mount === undefined
        ? openSync(at(folder, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        : openSync(handle(mount.fd), O_RDONLY | O_NONBLOCK);
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    return undefined;
  }

  readLink(folder: Folder, name: ByteName): ByteName {
    return readlinkSync(at(folder, name), { encoding: "latin1" });
  }

  /** Every link followed, also at the end. @throws errno errors. The caller closes it. */
  resolveFolder(path: ByteName): Folder {
    return this.#walk(path, { keepMissing: false, from: undefined }).folder;
  }

  /** As resolveFolder, beginning at a folder that stays open. */
  resolveFolderFrom(from: Folder, path: ByteName): Folder {
    return this.#walk(path, { keepMissing: false, from }).folder;
  }

  /** The last name is not followed. The caller closes the folder. */
  resolve(path: ByteName): Place {
    const parts = partsOf(path);
    // "a/.." at the end is a folder, not a name in one
    if (parts.at(-1) === "..") return { folder: this.resolveFolder(path), name: "" };
    const name = parts.pop() ?? "";
    return { folder: this.#walk(parts.join("/"), { keepMissing: false, from: undefined }).folder, name };
  }

  /** Where a path ends when all links are followed; what is missing is kept as it is named. */
  canonical(path: ByteName): ByteName {
    const { folder, missing } = this.#walk(path, { keepMissing: true, from: undefined });
    closeSync(folder.fd);
    return [...partsOf(folder.path), ...missing].join("/");
  }

  #walk(
    path: ByteName,
    options: { keepMissing: boolean; from: Folder | undefined },
  ): { folder: Folder; missing: readonly ByteName[] } {
    const pending = partsOf(path).reverse();
    const stack = [this.openFolder(options.from ?? this.root, "")];
    const missing: ByteName[] = [];
    let links = 0;
    const closeFrom = (depth: number): void => {
      for (const { fd } of stack.splice(depth)) closeSync(fd);
    };
    try {
      for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
        const here = stack.at(-1) ?? this.root;
        if (part === "..") {
          if (missing.pop() !== undefined) continue;
          if (stack.length > 1) closeFrom(stack.length - 1);
          else if (here.path !== "") {
            // came from a folder in the middle: its parent is looked up anew, from the root
            const above = this.resolveFolder(partsOf(here.path).slice(0, -1).join("/"));
            closeFrom(0);
            stack.push(above);
          }
          continue;
        }
        if (missing.length > 0) {
          missing.push(part);
          continue;
        }
        if (stack.length > DEPTH_MAX) throw new PathError("ENAMETOOLONG", path);
        const next = this.#step(here, part, options.keepMissing);
        if (next === undefined) missing.push(part);
        else if (typeof next === "object") stack.push(next);
        else {
          links += 1;
          if (links > LINKS_MAX) throw new PathError("ELOOP", path);
          if (next.startsWith("/")) {
            closeFrom(0);
            stack.push(this.openFolder(this.root, ""));
          }
          pending.push(...partsOf(next).reverse());
        }
      }
    } catch (error) {
      closeFrom(0);
      throw error;
    }
    const folder = stack.pop();
    if (folder === undefined) throw new PathError("ENOENT", path);
    closeFrom(0);
    return { folder, missing };
  }

  /** @returns the folder, the text of a link, or undefined: nothing, or no folder, where that may be. */
  #step(here: Folder, name: ByteName, keepMissing: boolean): Folder | ByteName | undefined {
    try {
      return this.openFolder(here, name);
    } catch (error) {
      if (keepMissing && isCode(error, "ENOENT")) return undefined;
      if (!isCode(error, "ENOTDIR", "ELOOP")) throw error;
    }
    try {
      return this.readLink(here, name);
    } catch (error) {
      if (!isCode(error, "EINVAL")) throw error; // EINVAL: it is no link
      if (keepMissing) return undefined;
      throw new PathError("ENOTDIR", joined(here.path, name));
    }
  }
}

/** A path for node:fs: the name in the open folder. */
export function at(folder: Folder, name: ByteName): Buffer {
  return Buffer.from(`${handle(folder.fd)}/${name}`, "latin1");
}

/** The same as text, for calls that take text only; undefined for a name that is not UTF-8. */
export function textAt(folder: Folder, name: ByteName): string | undefined {
  const bytes = Buffer.from(name, "latin1");
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? `${handle(folder.fd)}/${text}` : undefined;
}

/** With the number of the process: "self" would be another one in a command's eyes. */
export function handle(fd: number): string {
  return `/proc/${process.pid}/fd/${fd}`;
}

export function joined(folder: ByteName, name: ByteName): ByteName {
  if (name === "") return folder;
  return folder === "" ? name : `${folder}/${name}`;
}

export function bytesOf(text: string): ByteName {
  return Buffer.from(text, "utf8").toString("latin1");
}

export function textOf(name: ByteName): string {
  return Buffer.from(name, "latin1").toString("utf8");
}

export function partsOf(path: ByteName): ByteName[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

export function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

function depthOf(target: string): number {
  return target.split("/").filter((part) => part !== "").length;
}

/** A handle of what a mount shows, a folder or a file; undefined when there is nothing. */
function openInside(base: string, path: ByteName): number | undefined {
  try {
    if (partsOf(path).length === 0) return openSync(base, O_PATH);
    const inside = RootView.open({ root: base, readOnly: false, mounts: [] });
    try {
      const real = inside.resolve(inside.canonical(path));
      try {
        return openSync(at(real.folder, real.name), O_PATH | O_NOFOLLOW);
      } finally {
        closeSync(real.folder.fd);
      }
    } finally {
      inside.close();
    }
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}
