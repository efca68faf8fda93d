/**
 * Copies a folder with owners, modes, times and extended attributes, links as links. Edge: to the file
 * system.
 * Sockets, pipes and device nodes are left out. A missing source copies nothing.
 */
import { constants, type Stats } from "node:fs";
import { chmod, copyFile, lchown, lstat, mkdir, readdir, readlink, symlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Linux } from "../../base/linux/linux-ports.js";
import { isErrno } from "../runtime/linux-process.js";

export type XattrAccess = Pick<Linux, "readXattrs" | "setXattr">;

/** Overlayfs keeps its own books in these. */
const OF_OVERLAY = /^(trusted|user)\.overlay\./;

export async function copyTree(from: string, to: string, xattrs?: XattrAccess): Promise<void> {
  let info: Stats;
  try {
    info = await lstat(from);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return;
    throw error;
  }
  if (info.isDirectory()) await copyFolder(from, to, info, xattrs);
}

async function copyFolder(
  from: string,
  to: string,
  info: Stats,
  xattrs: XattrAccess | undefined,
): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) await copyEntry(join(from, name), join(to, name), xattrs);
  copyXattrs(from, to, xattrs);
  await takeOver(to, info); // last: filling the folder changes its times
}

async function copyEntry(from: string, to: string, xattrs: XattrAccess | undefined): Promise<void> {
  const info = await lstat(from);
  if (info.isDirectory()) {
    await copyFolder(from, to, info, xattrs);
  } else if (info.isSymbolicLink()) {
    await symlink(await readlink(from), to);
    await lchown(to, info.uid, info.gid);
  } else if (info.isFile()) {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    await lchown(to, info.uid, info.gid); // changing the owner clears file capabilities: they come after
    copyXattrs(from, to, xattrs);
    await takeOver(to, info);
  }
}

function copyXattrs(from: string, to: string, xattrs: XattrAccess | undefined): void {
  if (xattrs === undefined) return;
  for (const { name, value } of xattrs.readXattrs(from))
    if (!OF_OVERLAY.test(name)) xattrs.setXattr(to, name, value);
}

/** Owner, mode and times of another file. */
export async function takeOver(path: string, info: Stats): Promise<void> {
  const own = await lstat(path);
  // Only where it differs: it clears file capabilities, and set-uid bits, which chmod brings back.
  if (own.uid !== info.uid || own.gid !== info.gid) await lchown(path, info.uid, info.gid);
  await chmod(path, info.mode & 0o7777);
  await utimes(path, info.atime, info.mtime);
}
