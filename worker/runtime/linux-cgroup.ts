/**
 * Control groups of the host: which kind, where a container's files are, and clearing up.
 * Edge: to /sys/fs/cgroup.
 * Source: cgroups(7). Hybrid means v1 controllers with the v2 tree mounted at `unified`.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "./linux-process.js";

export type CgroupMode = "v1" | "hybrid" | "v2";

const ROOT = "/sys/fs/cgroup";

export function detectCgroupMode(): CgroupMode {
  if (existsSync(join(ROOT, "cgroup.controllers"))) return "v2";
  return existsSync(join(ROOT, "unified", "cgroup.controllers")) ? "hybrid" : "v1";
}

/** True where crun refuses to work: a hybrid host whose v2 tree has controllers of its own. */
export function hybridHasControllers(): boolean {
  return readFileSync(join(ROOT, "unified", "cgroup.controllers"), "latin1").trim() !== "";
}

/** Kills by lack of memory counted in a container's group; 0 when the group is gone. */
export function oomKillCount(mode: CgroupMode, cgroupPath: string): number {
  const file =
    mode === "v2"
      ? join(ROOT, cgroupPath, "memory.events")
      : join(ROOT, "memory", cgroupPath, "memory.oom_control");
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync(file, "latin1"))?.[1] ?? 0);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV")) return 0;
    throw error;
  }
}

function hierarchies(mode: CgroupMode): string[] {
  return mode === "v2" ? [ROOT] : readdirSync(ROOT).map((name) => join(ROOT, name));
}

/** Removes an empty group in every hierarchy; one that is in use or missing stays as it is. */
export async function removeCgroup(mode: CgroupMode, cgroupPath: string): Promise<void> {
  await Promise.all(
    hierarchies(mode).map(async (hierarchy) => {
      try {
        await rmdir(join(hierarchy, cgroupPath));
      } catch (error) {
        if (!isErrno(error, "ENOENT", "EBUSY", "ENOTEMPTY", "ENOTDIR", "EPERM")) throw error;
      }
    }),
  );
}

/**
 * The trees by which systemd knows (and ends) the processes of a service; empty where systemd does not run.
 */
export function systemdTrees(mode: CgroupMode): readonly string[] {
  if (!existsSync("/run/systemd/system")) return [];
  if (mode === "v2") return [ROOT];
  return [join(ROOT, "systemd"), join(ROOT, "unified")].filter((path) => existsSync(path));
}

/** Makes a group in the given trees. */
export async function makeGroup(trees: readonly string[], cgroupPath: string): Promise<void> {
  await Promise.all(trees.map((tree) => mkdir(join(tree, cgroupPath), { recursive: true })));
}

export async function moveToGroup(trees: readonly string[], cgroupPath: string, pid: number): Promise<void> {
  await Promise.all(trees.map((tree) => writeFile(join(tree, cgroupPath, "cgroup.procs"), String(pid))));
}
