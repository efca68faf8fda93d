/**
 * Files that are there whole or not at all, also after a crash. Edge: to the file system.
 */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes beside the target, syncs, renames over it, and syncs the folder.
 * @param options.sync false where losing the newest version in a power failure is harmless. @default true
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: { sync?: boolean } = {},
): Promise<void> {
  const temporary = `${path}.new`;
  const sync = options.sync !== false;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(data);
    if (sync) await file.datasync();
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  if (!sync) return;
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
