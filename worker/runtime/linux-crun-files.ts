/**
 * What `crun start` and `crun delete` do to a container's files, done here: each saves a process per life.
 * Edge: to crun's state folder and /sys/fs/cgroup.
 * Invariant: only the plain case is done here; anything unexpected (another runtime, hooks, a group still in
 * use) is left as it was, and the caller runs the command.
 * Source: crun 1.8, container.c and status.c; seen by strace: open exec.fifo for writing, unlink it, write a
 * byte.
 */
import { constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { open, readdir, rm, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupMode } from "./linux-cgroup.js";
import { isErrno, processOf } from "./linux-process.js";

const ROOT = "/sys/fs/cgroup";
/** Groups that a container made below its own; deeper or more of them are left to the runtime. */
const DEPTH_MAX = 8;

interface CrunStatus {
  readonly pid: number;
  readonly cgroupPath: string;
}

/** Lets a created container's process go on. @returns false: nothing was done. */
export async function startByFifo(stateFolder: string): Promise<boolean> {
  if (crunStatus(stateFolder) === undefined || hasHook(stateFolder, "poststart")) return false;
  const path = join(stateFolder, "exec.fifo");
  try {
    // Refused (ENXIO) when nobody reads: the process has ended, and the command says why.
    const fifo = await open(path, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      await unlink(path);
      await fifo.write(new Uint8Array(1));
    } finally {
      await fifo.close();
    }
    return true;
  } catch (error) {
    if (isErrno(error, "ENXIO", "ENOENT")) return false;
    throw error;
  }
}

/** Takes away the group and the state of an ended container. @returns false: something is left to do. */
export async function removeEnded(mode: CgroupMode, stateFolder: string): Promise<boolean> {
  const status = crunStatus(stateFolder);
  if (status === undefined || processOf(status.pid) !== undefined) return false;
  if (hasHook(stateFolder, "poststop")) return false;
  const trees = mode === "v2" ? [ROOT] : readdirSync(ROOT).map((name) => join(ROOT, name));
  try {
    await Promise.all(trees.map((tree) => removeTree(join(tree, status.cgroupPath), 0)));
  } catch (error) {
    if (isErrno(error, "EBUSY", "ENOTEMPTY", "EPERM")) return false; // processes are left in it
    throw error;
  }
  await rm(stateFolder, { recursive: true, force: true });
  return true;
}

async function removeTree(path: string, depth: number): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return;
    if (!isErrno(error, "EBUSY", "ENOTEMPTY") || depth >= DEPTH_MAX) throw error;
    const below = (await readdir(path, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    if (below.length === 0) throw error;
    for (const { name } of below) await removeTree(join(path, name), depth + 1);
    await rmdir(path);
  }
}

/** In crun's own copy of the configuration; a word too many only means that the command is run. */
function hasHook(stateFolder: string, name: "poststart" | "poststop"): boolean {
  try {
    return readFileSync(join(stateFolder, "config.json"), "latin1").includes(`"${name}"`);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return true; // the runtime was killed while it made the folder
    throw error;
  }
}

/** @returns undefined for half a file. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** @returns undefined when the folder is not crun's, or not readable as such. */
function crunStatus(stateFolder: string): CrunStatus | undefined {
  const path = join(stateFolder, "status");
  if (!existsSync(path)) return undefined;
  const status = jsonOf(readFileSync(path, "utf8"));
  if (typeof status !== "object" || status === null || !("pid" in status)) return undefined;
  const cgroupPath = "cgroup-path" in status ? String(status["cgroup-path"]) : "";
  const systemd = "systemd-cgroup" in status && status["systemd-cgroup"] === true;
  // a group of its own below the tree's root, or it is none of ours to remove
  if (systemd || !/^\/[^/]+(\/[^/]+)*$/.test(cgroupPath) || cgroupPath.includes("/../")) return undefined;
  return { pid: Number(status.pid), cgroupPath };
}
