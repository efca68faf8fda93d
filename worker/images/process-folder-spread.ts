/**
 * Asks the file system to lay what is made in a folder far apart. Edge: to the command chattr (e2fsprogs).
 * On ext4 a new folder lies in its parent's block group, and so would all layers: two threads that unpack
 * would share one group's bitmaps, and search them past the files of an image that has just been removed.
 * Below a folder with the mark T each folder begins in a group of its own. Other file systems refuse the
 * mark, and nothing is lost.
 * Source: chattr(1), attribute T; the Orlov allocator in fs/ext4/ialloc.c.
 */
import { execFile } from "node:child_process";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";

const TIMEOUT_MS = 5_000;

/** @returns when it is done, or known that it cannot be. */
export function spreadFolders(path: string, log: Logger): Promise<void> {
  return new Promise((resolve) => {
    execFile("chattr", ["+T", "--", path], { timeout: TIMEOUT_MS }, (error) => {
      if (error !== null) log.debug("folders are not spread over the disk", { error: messageOf(error) });
      resolve();
    });
  });
}
