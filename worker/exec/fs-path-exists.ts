/**
 * Whether a path is there on the host. Edge: to the file system.
 */
import { lstat } from "node:fs/promises";

/** @throws what the file system throws, save that nothing is there. */
export async function pathExists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}
