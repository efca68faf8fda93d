/**
 * Takes away everything a lab left behind: processes, mounts, network namespaces, cgroups, files.
 * Edge: to /proc, mount and iproute2. Synchronous, so that it also works while a process exits; idempotent;
 * acts only on what carries the lab's own folder or names.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runSync } from "./shell.js";

export interface LabTraces {
  /** Folder that holds all data and run directories of the lab. */
  readonly dir: string;
  /** Prefix of its network namespaces (ip netns) and of its cgroups. */
  readonly prefix: string;
}

function processIds(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // the process ended meanwhile
  }
}

/** Cgroup folders of the lab in every hierarchy, deepest first. */
function cgroupFolders(prefix: string): string[] {
  const roots = existsSync("/sys/fs/cgroup/cgroup.controllers")
    ? ["/sys/fs/cgroup"]
    : readdirSync("/sys/fs/cgroup").map((name) => join("/sys/fs/cgroup", name));
  const found: string[] = [];
  const collect = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) collect(join(folder, entry.name));
    }
    found.push(folder);
  };
  for (const root of roots) {
    if (!existsSync(root)) continue;
    for (const entry of readdirSync(root, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.startsWith(prefix)) collect(join(root, entry.name));
    }
  }
  return found;
}

function mountPointsUnder(dir: string): string[] {
  return readOrEmpty("/proc/self/mountinfo")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${dir}/`))
    .reverse();
}

/** Processes that belong to the lab: by a path of it in their command line, or by its cgroups. */
export function labProcesses({ dir, prefix }: LabTraces): number[] {
  const inCgroups = new Set(
    cgroupFolders(prefix).flatMap((folder) =>
      readOrEmpty(join(folder, "cgroup.procs")).split("\n").filter(Boolean).map(Number),
    ),
  );
  return processIds().filter(
    (pid) =>
      pid !== process.pid && (inCgroups.has(pid) || readOrEmpty(`/proc/${pid}/cmdline`).includes(`${dir}/`)),
  );
}

/** A frozen process of cgroup v1 does not die before it goes on. */
function thawAll(prefix: string): void {
  for (const folder of cgroupFolders(prefix)) {
    const state = join(folder, "freezer.state");
    if (existsSync(state)) writeFileSync(state, "THAWED");
  }
}

function killAll(traces: LabTraces): void {
  thawAll(traces.prefix);
  for (let round = 0; round < 20; round++) {
    const pids = labProcesses(traces);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Ended between listing and killing: that is what we want.
      }
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

/** Removes all traces. */
export function sweep(traces: LabTraces): void {
  killAll(traces);
  const namespaces = existsSync("/run/netns")
    ? readdirSync("/run/netns").filter((name) => name.startsWith(traces.prefix))
    : [];
  for (const path of mountPointsUnder(traces.dir)) runSync("umount", ["-l", path]);
  for (const name of namespaces) runSync("ip", ["netns", "del", name]);
  for (let round = 0; round < 20; round++) {
    const left = cgroupFolders(traces.prefix);
    if (left.length === 0) break;
    for (const folder of left) {
      try {
        rmdirSync(folder);
      } catch {
        // Busy for a moment after its last process ended: the next round tries again.
      }
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25);
  }
  rmSync(traces.dir, { recursive: true, force: true, maxRetries: 5 });
}

/** What is left of a lab, in words; empty when it is clean. */
export function remains(traces: LabTraces): string[] {
  const namespaces = existsSync("/run/netns")
    ? readdirSync("/run/netns").filter((name) => name.startsWith(traces.prefix))
    : [];
  return [
    ...labProcesses(traces).map(
      (pid) => `process ${pid}: ${readOrEmpty(`/proc/${pid}/cmdline`).replaceAll("\0", " ").slice(0, 120)}`,
    ),
    ...mountPointsUnder(traces.dir).map((path) => `mount ${path}`),
    ...namespaces.map((name) => `netns ${name}`),
    ...cgroupFolders(traces.prefix).map((folder) => `cgroup ${folder}`),
  ];
}
