/**
 * Copies a file or what a folder holds into a new layer. Edge: to the file system.
 * Invariant: the destination is reached through RootedTree; what is copied is made anew under its own name
 * (never through a link that lies there). Links are copied as links.
 * Source: Dockerfile reference, COPY; Docker's classic builder for what it leaves open: new files belong to
 * root, and lose set-uid and set-gid, unless they come from an image.
 */
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  type Stats,
  symlinkSync,
} from "node:fs";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { CancelledError, messageOf } from "../../../base/errors/errors.js";
import type { Linux } from "../../../base/linux/linux-ports.js";
import { nextTurn } from "../../../base/loop/process-turn.js";
import type { Owner, RootedTree } from "./fs-rooted-tree.js";
import { lstatOrNothing } from "./fs-rooted-tree.js";

export interface CopyOptions {
  readonly linux: Pick<Linux, "makeNode" | "readXattrs" | "setXattr">;
  /** Where it goes. */
  readonly tree: RootedTree;
  /** undefined: as the source has it. */
  readonly owner: Owner | undefined;
  /** Permission bits for all; undefined: as the source has them. */
  readonly mode: number | undefined;
  /** Extended attributes come along, capabilities above all: sources out of images. */
  readonly attributes: boolean;
  /** Path below the copied folder. */
  readonly excludes: (path: string) => boolean;
  readonly signal: AbortSignal | undefined;
}

/** Copied by a synchronous call: faster, and over in microseconds. */
const SMALL_BYTES_MAX = 64 << 10;
/** Entries between two turns of the event loop: some 5 ms of work. */
const ENTRIES_PER_TURN = 50;
/** Hard links of one copy that are found again; beyond, files are copied. */
const LINKED_MAX = 65_536;

/** One file, link or node to a path whose folder exists. */
export async function copyOne(
  source: { readonly absolute: string; readonly stats: Stats },
  target: string,
  options: CopyOptions,
  linked: Map<string, string> = new Map(),
): Promise<void> {
  const { stats } = source;
  if (options.signal?.aborted === true) throw new CancelledError("the build was cancelled");
  if (stats.isSocket()) return; // as Docker: the other end is not there
  if (lstatOrNothing(target) !== undefined) {
    await rm(target, { recursive: true });
    options.tree.forgetFolders();
  }
  if (stats.isFile() && stats.nlink > 1) {
    const key = `${stats.dev}:${stats.ino}`;
    const known = linked.get(key);
    if (known !== undefined && lstatOrNothing(known) !== undefined) {
      linkSync(known, target);
      return;
    }
    if (linked.size < LINKED_MAX) linked.set(key, target);
  }
  if (stats.isSymbolicLink()) symlinkSync(readlinkSync(source.absolute), target);
  else if (stats.isFile()) {
    if (stats.size > SMALL_BYTES_MAX) await copyFile(source.absolute, target, constants.COPYFILE_EXCL);
    else copyFileSync(source.absolute, target, constants.COPYFILE_EXCL);
  } else {
    const kind = stats.isFIFO() ? "fifo" : stats.isBlockDevice() ? "block" : "char";
    const { major, minor } = deviceOf(stats.rdev);
    options.linux.makeNode({ path: target, kind, mode: 0o600, major, minor });
  }
  finish(source, target, options);
}

/** What a folder holds, into a folder that exists. */
export async function copyFolder(source: string, target: string, options: CopyOptions): Promise<void> {
  const linked = new Map<string, string>();
  let count = 0;
  const walk = async (from: string, to: string, path: string): Promise<void> => {
    for (const name of readdirSync(from).sort()) {
      count += 1;
      if (count % ENTRIES_PER_TURN === 0) await nextTurn();
      const inner = path === "" ? name : `${path}/${name}`;
      const here = join(from, name);
      const there = join(to, name);
      const stats = lstatSync(here);
      if (!stats.isDirectory()) {
        if (!options.excludes(inner)) await copyOne({ absolute: here, stats }, there, options, linked);
        continue;
      }
      if (options.excludes(inner) && !(await holdsKept(here, inner, options.excludes))) continue;
      const found = lstatOrNothing(there);
      if (found?.isDirectory() !== true) {
        if (found !== undefined) await rm(there);
        mkdirSync(there, 0o755);
      }
      await walk(here, there, inner);
      finish({ absolute: here, stats }, there, options);
    }
  };
  await walk(source, target, "");
}

/** Whether something below an excluded folder is not excluded ("!…"). */
async function holdsKept(
  folder: string,
  path: string,
  excludes: (path: string) => boolean,
): Promise<boolean> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const inner = `${path}/${entry.name}`;
    if (!excludes(inner)) return true;
    if (entry.isDirectory() && (await holdsKept(join(folder, entry.name), inner, excludes))) return true;
  }
  return false;
}

/** Owner before mode, because a change of owner drops set-uid; times last. */
function finish(
  source: { readonly absolute: string; readonly stats: Stats },
  target: string,
  options: CopyOptions,
): void {
  const { stats } = source;
  const { uid, gid } = options.owner ?? stats;
  lchownSync(target, uid, gid);
  if (!stats.isSymbolicLink()) {
    const keepsSetId = options.owner === undefined || stats.isDirectory();
    const mode = options.mode ?? stats.mode & (keepsSetId ? 0o7777 : 0o1777);
    chmodSync(target, mode);
  }
  if (options.attributes) copyAttributes(source.absolute, target, options.linux);
  lutimesSync(target, stats.mtimeMs / 1_000, stats.mtimeMs / 1_000);
}

function copyAttributes(source: string, target: string, linux: CopyOptions["linux"]): void {
  for (const { name, value } of linux.readXattrs(source)) {
    if (/^trusted\.|^(user\.overlay\.)|^security\.(selinux|ima|evm)$/.test(name)) continue;
    try {
      linux.setXattr(target, name, value);
    } catch (error) {
      const bearable = /ENOTSUP|EOPNOTSUPP|EPERM/.test(messageOf(error)) && name !== "security.capability";
      if (!bearable) throw error;
    }
  }
}

/** As glibc cuts a device number. */
function deviceOf(rdev: number): { major: number; minor: number } {
  const bits = BigInt(rdev);
  return {
    major: Number(((bits >> 8n) & 0xfffn) | ((bits >> 32n) & ~0xfffn)),
    minor: Number((bits & 0xffn) | ((bits >> 12n) & 0xffffff00n)),
  };
}
