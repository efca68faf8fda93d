/**
 * How a process that works on the manager's folder stops being root. Edge: to node:fs and the process.
 * Invariant: afterwards the folder and all in it belong to the manager's user, and so does the process.
 */
import { chownSync, lchownSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

export interface ManagerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Makes the folders (mode 0700) when they are missing.
 * @param options.user undefined keeps the user of the process.
 */
export function giveUpRoot(options: {
  /** Belongs to the user, with everything in it. */
  readonly dir: string;
  /** Belongs to the user itself. */
  readonly socketFolder?: string;
  readonly user: ManagerUser | undefined;
}): void {
  const { dir, socketFolder, user } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (user === undefined) return;
  own(dir, user);
  if (socketFolder !== undefined) {
    mkdirSync(socketFolder, { recursive: true, mode: 0o700 });
    chownSync(socketFolder, user.uid, user.gid);
  }
  process.setgroups?.([]);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
}

/** Links are not followed: whoever has the folder could make them point anywhere. */
function own(path: string, user: ManagerUser): void {
  lchownSync(path, user.uid, user.gid);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) own(inner, user);
    else lchownSync(inner, user.uid, user.gid);
  }
}
