/**
 * Bytes a folder takes on its disk. Edge: to the file system. In slices: each entry is awaited, so that
 * nothing
 * holds the event loop. Files with several names count once.
 */
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../runtime/linux-process.js";

/** Sizes as `ls` shows them, as Docker counts. What is missing, or goes away meanwhile, is left out. */
export async function folderUsage(folder: string): Promise<number> {
  const seen = new Set<string>();
  const pending = [folder];
  let bytes = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    try {
      for await (const entry of await opendir(next)) {
        const path = join(next, entry.name);
        if (entry.isDirectory()) {
          pending.push(path);
          continue;
        }
        const info = await lstat(path);
        const key = `${info.dev}:${info.ino}`;
        if (info.nlink > 1 && seen.has(key)) continue;
        if (info.nlink > 1) seen.add(key);
        bytes += info.size;
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    }
  }
  return bytes;
}
