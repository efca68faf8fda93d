/**
 * Copies a folder with owners, modes and times, links as links. Edge: to the file system.
 * Sockets, pipes and device nodes are left out. A missing source copies nothing.
 */
import { constants, type Stats } from "node:fs";
import { chmod, copyFile, lchown, lstat, mkdir, readdir, readlink, symlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../runtime/linux-process.js";

export async function copyTree(from: string, to: string): Promise<void> {
  let info: Stats;
  try {
    info = await lstat(from);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return;
    throw error;
  }
  if (info.isDirectory()) await copyFolder(from, to, info);
}

async function copyFolder(from: string, to: string, info: Stats): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) await copyEntry(join(from, name), join(to, name));
  await takeOver(to, info); // last: filling the folder changes its times
}

async function copyEntry(from: string, to: string): Promise<void> {
  const info = await lstat(from);
  if (info.isDirectory()) {
    await copyFolder(from, to, info);
  } else if (info.isSymbolicLink()) {
    await symlink(await readlink(from), to);
    await lchown(to, info.uid, info.gid);
  } else if (info.isFile()) {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    await takeOver(to, info);
  }
}

/** Owner, mode and times of another file. */
export async function takeOver(path: string, info: Stats): Promise<void> {
  await lchown(path, info.uid, info.gid); // before chmod: changing the owner clears set-uid bits
  await chmod(path, info.mode & 0o7777);
  await utimes(path, info.atime, info.mtime);
}
