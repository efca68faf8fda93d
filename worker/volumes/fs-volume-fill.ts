/**
 * Fills an empty volume with what an image has. Edge: to the file system.
 * Invariants: the copy is made beside the volume, where no container can put links in its way, and counts
 * once
 * it is whole; a crash is made good by the next container.
 */
import type { Stats } from "node:fs";
import { lstat, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../runtime/linux-process.js";
import { copyTree, takeOver, type XattrAccess } from "./fs-copy-tree.js";

/** @param mountpoint a folder of our own: <volume>/_data. */
export async function fillFolder(
  mountpoint: string,
  imageFolder: string,
  xattrs: XattrAccess | undefined,
): Promise<void> {
  const filling = join(mountpoint, "..", "filling");
  const filled = join(mountpoint, "..", "filled");
  if ((await folderAt(filled)) === undefined) {
    if ((await readdir(mountpoint)).length > 0) return;
    await rm(filling, { recursive: true, force: true });
    await copyTree(imageFolder, filling, xattrs);
    if ((await folderAt(filling)) === undefined) return; // the image has nothing there
    await rename(filling, filled);
  }
  for (const name of await readdir(filled)) await moveUnlessThere(join(filled, name), join(mountpoint, name));
  const like = await folderAt(filled);
  if (like !== undefined) await takeOver(mountpoint, like);
  await rm(filled, { recursive: true, force: true });
}

/** Of another file system, where nothing can be moved to: copied in place. For its first user only. */
export async function fillMounted(
  mountpoint: string,
  imageFolder: string,
  xattrs: XattrAccess | undefined,
): Promise<void> {
  const found = await readdir(mountpoint);
  if (found.some((name) => name !== "lost+found")) return;
  await copyTree(imageFolder, mountpoint, xattrs);
}

async function folderAt(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** What a container has made meanwhile stays. */
async function moveUnlessThere(from: string, to: string): Promise<void> {
  if ((await folderAt(to)) !== undefined) return;
  try {
    await rename(from, to);
  } catch (error) {
    if (!isErrno(error, "EEXIST", "ENOTEMPTY", "ENOTDIR", "EISDIR")) throw error;
  }
}
