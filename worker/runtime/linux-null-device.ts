/**
 * Keeps the machine's /dev/null the machine's. Edge: to /dev.
 * crun gives standard input to the container's user, and where a container has none that is the /dev/null of
 * the machine (seen with 1.8.1; runc leaves it out): its owner could close it to everybody.
 * Invariant: looked at between create and start, so that no instruction of the container runs while its user
 * owns the node.
 */
import { chmod, chown, stat } from "node:fs/promises";

const FOR_EVERYBODY = 0o666;

/** Gives the node back to root, open to everybody. Anything that is no character device is left alone. */
export async function keepNullDevice(path = "/dev/null"): Promise<void> {
  const found = await stat(path);
  if (!found.isCharacterDevice()) return;
  if (found.uid !== 0 || found.gid !== 0) await chown(path, 0, 0);
  if ((found.mode & 0o777) !== FOR_EVERYBODY) await chmod(path, FOR_EVERYBODY);
}
