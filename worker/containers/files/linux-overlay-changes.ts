/**
 * What a container changed in its image, read from the writable layer of its overlay. Edge: to the file
 * system, by synchronous calls.
 * Invariants: the writable layer is walked by handles (linux-root-view.ts), because the container may swap
 * its folders meanwhile; of the layers below only real folders are entered. The walk gives way after every
 * WALK_STEP entries. Order is by path, a folder before what is in it.
 * Source: kernel Documentation/filesystems/overlayfs.rst (whiteouts, opaque folders); moby's kinds.
 */
import { closeSync, lstatSync, readdirSync, type Stats } from "node:fs";
import type { FileChange } from "../../../proto/engine/files.js";
import { at, type Folder, isCode, RootView, textAt, textOf } from "./linux-root-view.js";
import type { ByteName, TarXattr } from "./tar-entry.js";

export interface OverlayFolders {
  readonly upper: string;
  /** Topmost first. */
  readonly lowers: readonly string[];
}

/** Entries between two chances for others. */
const WALK_STEP = 500;
/** Beyond, a diff is of no use to a reader; what follows is left out. */
const CHANGES_MAX = 1_000_000;
const OPAQUE = "trusted.overlay.opaque";

export interface ChangeOptions {
  readonly readXattrs: (path: string) => readonly TarXattr[];
  /** Mount points that the engine made itself, as paths in the container. */
  readonly ignored: ReadonlySet<string>;
}

/** Yields now and then, so that others get their turn. @returns the changes. */
export function* overlayChanges(
  folders: OverlayFolders,
  options: ChangeOptions,
): Generator<void, readonly FileChange[]> {
  const view = RootView.open({ root: folders.upper, readOnly: false, mounts: [] });
  try {
    const walk = new ChangeWalk(view, options);
    const lowers = folders.lowers.map((path) => Buffer.from(path));
    yield* walk.folder(view.root, lowers);
    return walk.changes.sort((a, b) => (inOrder(a.path) < inOrder(b.path) ? -1 : 1));
  } finally {
    view.close();
  }
}

class ChangeWalk {
  readonly changes: FileChange[] = [];
  readonly #view: RootView;
  readonly #options: ChangeOptions;
  #seen = 0;

  constructor(view: RootView, options: ChangeOptions) {
    this.#view = view;
    this.#options = options;
  }

  /** @param lowers folders of the same path in the layers below, as far as they show through. */
  *folder(folder: Folder, lowers: readonly Buffer[]): Generator<void> {
    for (const name of readdirSync(at(folder, "."), { encoding: "latin1" }).sort()) {
      this.#seen += 1;
      if (this.#seen % WALK_STEP === 0) yield;
      if (this.changes.length >= CHANGES_MAX) return;
      const now = this.#view.find(folder, name);
      if (now === undefined) continue;
      const path = pathOf(folder, name);
      if (isWhiteout(now)) this.changes.push({ path, kind: 2 });
      else yield* this.#present(folder, name, { now, path, lowers });
    }
  }

  *#present(
    folder: Folder,
    name: ByteName,
    { now, path, lowers }: { now: Stats; path: string; lowers: readonly Buffer[] },
  ): Generator<void> {
    const old = findIn(lowers, name);
    const isOwn = this.#options.ignored.has(path) && (now.isDirectory() || now.size === 0);
    const unchanged = isOwn || (old !== undefined && isSameFolder(old, now));
    const index = this.changes.length;
    if (!unchanged) this.changes.push({ path, kind: old === undefined ? 1 : 0 });
    if (!now.isDirectory()) return;
    let inside: Folder;
    try {
      inside = this.#view.openFolder(folder, name);
    } catch (error) {
      if (isCode(error, "ENOENT", "ENOTDIR", "ELOOP")) return; // replaced meanwhile
      throw error;
    }
    try {
      const below = this.#showingThrough(lowers, name);
      const opaque = this.#isOpaque(textAt(inside, "."));
      if (opaque) this.changes.push(...hidden(inside, below));
      yield* this.folder(inside, opaque ? [] : below);
      // a folder whose time changed because the engine made a mount point in it
      const alone = index === this.changes.length - 1 && old?.isDirectory() === true;
      if (alone && this.#holdsMountPoint(inside) && sameButTime(old, now)) this.changes.pop();
    } finally {
      closeSync(inside.fd);
    }
  }

  /** A layer's file or whiteout ends what shows through, an opaque folder after itself. */
  #showingThrough(lowers: readonly Buffer[], name: ByteName): readonly Buffer[] {
    const folders: Buffer[] = [];
    for (const lower of lowers) {
      const path = below(lower, name);
      const stats = lstatSync(path, { throwIfNoEntry: false });
      if (stats === undefined) continue;
      if (!stats.isDirectory()) break;
      folders.push(path);
      if (this.#isOpaque(path.toString("utf8"))) break;
    }
    return folders;
  }

  #holdsMountPoint(folder: Folder): boolean {
    const names = readdirSync(at(folder, "."), { encoding: "latin1" });
    return names.some((name) => this.#options.ignored.has(pathOf(folder, name)));
  }

  #isOpaque(path: string | undefined): boolean {
    if (path === undefined) return false;
    try {
      return this.#options
        .readXattrs(path)
        .some(({ name, value }) => name === OPAQUE && value.length === 1 && value[0] === 0x79);
    } catch (error) {
      if (error instanceof Error && error.message.includes("ENOENT")) return false;
      throw error;
    }
  }
}

/** What an opaque folder hides of the layers below, as far as it has nothing of that name itself. */
function hidden(folder: Folder, lowers: readonly Buffer[]): FileChange[] {
  const own = new Set(readdirSync(at(folder, "."), { encoding: "latin1" }));
  const names = new Set(lowers.flatMap((lower) => readdirSync(lower, { encoding: "latin1" })));
  return [...names]
    .filter((name) => !own.has(name) && findIn(lowers, name) !== undefined)
    .map((name) => ({ path: pathOf(folder, name), kind: 2 }));
}

/** The topmost layer that says something of the name decides. */
function findIn(lowers: readonly Buffer[], name: ByteName): Stats | undefined {
  for (const lower of lowers) {
    const stats = lstatSync(below(lower, name), { throwIfNoEntry: false });
    if (stats !== undefined) return isWhiteout(stats) ? undefined : stats;
  }
  return undefined;
}

/** So that what is in a folder follows it at once. */
function inOrder(path: string): string {
  return path.replaceAll("/", "\0");
}

function below(folder: Buffer, name: ByteName): Buffer {
  return Buffer.concat([folder, Buffer.from(`/${name}`, "latin1")]);
}

function pathOf(folder: Folder, name: ByteName): string {
  return textOf(folder.path === "" ? `/${name}` : `/${folder.path}/${name}`);
}

function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

/** A folder that was copied up for what is in it, and was not touched itself. */
function isSameFolder(old: Stats, now: Stats): boolean {
  return old.isDirectory() && now.isDirectory() && sameButTime(old, now) && old.mtimeMs === now.mtimeMs;
}

function sameButTime(old: Stats, now: Stats): boolean {
  return old.mode === now.mode && old.uid === now.uid && old.gid === now.gid;
}

/** Bytes of the files below a folder, each inode once; yields now and then. */
export function* treeBytes(root: string): Generator<void, number> {
  const view = RootView.open({ root, readOnly: false, mounts: [] });
  const linked = new Set<number>();
  let seen = 0;
  function* bytesOf(folder: Folder): Generator<void, number> {
    let bytes = 0;
    for (const name of readdirSync(at(folder, "."), { encoding: "latin1" })) {
      seen += 1;
      if (seen % WALK_STEP === 0) yield;
      const stats = view.find(folder, name);
      if (stats === undefined) continue;
      if (stats.isDirectory()) {
        try {
          const inside = view.openFolder(folder, name);
          try {
            bytes += yield* bytesOf(inside);
          } finally {
            closeSync(inside.fd);
          }
        } catch (error) {
          if (!isCode(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error; // replaced meanwhile
        }
      } else if (stats.nlink === 1 || !linked.has(stats.ino)) {
        if (stats.nlink > 1) linked.add(stats.ino);
        bytes += stats.size;
      }
    }
    return bytes;
  }
  try {
    return yield* bytesOf(view.root);
  } finally {
    view.close();
  }
}
