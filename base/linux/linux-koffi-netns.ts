/**
 * Network namespaces by system calls. Edge: to the kernel. `setns` and `unshare` act on the calling thread
 * only: they are used synchronously, with the way back in `finally`; a thread that cannot come back ends the
 * process, because it would serve the wrong network.
 * Sources: setns(2), unshare(2), network_namespaces(7).
 */
import { closeSync, openSync, unlinkSync } from "node:fs";
import { InternalError } from "../errors/errors.js";
import {
  cMount,
  cSetns,
  cString,
  cUnshare,
  EINVAL,
  ENOENT,
  lastErrno,
  refusal,
  refusalOf,
  umountErrno,
} from "./linux-koffi-calls.js";

const CLONE_NEWNET = 0x4000_0000;
const MS_BIND = 4096;
const MNT_DETACH = 2;
const ENTERING = "entering a network namespace";
/** Of the calling thread: /proc/self is the first thread's. */
const OWN_NETNS = "/proc/thread-self/ns/net";

/**
 * Runs `fn` after `enter` moved this thread to another network namespace, and comes back whatever happens.
 */
function awayFromHome<T>(what: string, enter: () => number, fn: () => T): T {
  const home = openNetns(OWN_NETNS);
  try {
    if (enter() !== 0) throw refusal(lastErrno(), ENTERING, what);
    let result: T;
    try {
      result = fn();
    } finally {
      if (cSetns(home, CLONE_NEWNET) !== 0) process.abort();
    }
    if (result instanceof Promise)
      throw new InternalError(`what runs in ${what} must be synchronous: it was left at the first await`);
    return result;
  } finally {
    closeSync(home);
  }
}

/** @returns a descriptor that keeps the namespace alive; the caller closes it. */
export function openNetns(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw refusalOf(error, ENTERING, path);
  }
}

/** @param fd of openNetns, or undefined: here. @param what the namespace's name in errors. */
export function insideNetns<T>(fd: number | undefined, what: string, fn: () => T): T {
  return fd === undefined ? fn() : awayFromHome(what, () => cSetns(fd, CLONE_NEWNET), fn);
}

export function inNetns<T>(path: string | undefined, fn: () => T): T {
  if (path === undefined) return fn();
  const target = openNetns(path);
  try {
    return insideNetns(target, path, fn);
  } finally {
    closeSync(target);
  }
}

export function createNetns(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    throw refusalOf(error, "creating a network namespace", path);
  }
  try {
    awayFromHome(
      path,
      () => cUnshare(CLONE_NEWNET),
      () => {
        if (cMount(OWN_NETNS, cString(path, "path"), null, MS_BIND, null) !== 0) {
          throw refusal(lastErrno(), "mount", `${path} (bind of ${OWN_NETNS})`);
        }
      },
    );
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

export async function deleteNetns(path: string): Promise<void> {
  const errno = await umountErrno(cString(path, "path"), MNT_DETACH);
  // EINVAL: not a mount point, e.g. after a reboot.
  if (errno !== 0 && errno !== EINVAL && errno !== ENOENT) throw refusal(errno, "umount", path);
  try {
    unlinkSync(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT"))
      throw refusalOf(error, "unlink", path);
  }
}
