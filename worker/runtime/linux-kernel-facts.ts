/**
 * Finds out what this kernel can do for containers. Edge: to /proc and /sys. Read once, when the daemon opens
 * its containers.
 * Source: cgroups(7), proc(5).
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { CAPABILITIES } from "./capabilities.js";
import type { KernelFacts } from "./kernel-facts.js";
import { type CgroupMode, detectCgroupMode } from "./linux-cgroup.js";
import { isErrno } from "./linux-process.js";

const ROOT = "/sys/fs/cgroup";
const CPUSET = { cpus: "/sys/devices/system/cpu/online", mems: "/sys/devices/system/node/online" } as const;

/** "" when it is not there or says nothing. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "EACCES", "EINVAL", "EPERM")) return "";
    throw error;
  }
}

export function readKernelFacts(mode: CgroupMode = detectCgroupMode()): KernelFacts {
  const count = Math.max(1, cpus().length);
  return {
    cpus: count,
    ...(mode === "v2" ? groupsOfVersion2() : groupsOfVersion1()),
    cpusetCpus: textOf(CPUSET.cpus) || `0-${count - 1}`,
    cpusetMems: textOf(CPUSET.mems) || "0",
    apparmor: textOf("/sys/module/apparmor/parameters/enabled") === "Y",
    apparmorProfiles: textOf("/sys/kernel/security/apparmor/profiles")
      .split("\n")
      .flatMap((line) => /^(\S.*) \([a-z]+\)$/.exec(line)?.[1] ?? []),
    selinux: existsSync("/sys/fs/selinux/enforce"),
    seccomp: existsSync("/proc/sys/kernel/seccomp"),
    capabilities: heldCapabilities(textOf("/proc/self/status")),
  };
}

/** What the daemon's own bounding set has: more than that no runtime can hand on. */
export function heldCapabilities(status: string): readonly string[] {
  const bits = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "ffffffffffffffff"}`);
  return CAPABILITIES.filter((_, number) => ((bits >> BigInt(number)) & 1n) === 1n);
}

type GroupFacts = Omit<
  KernelFacts,
  | "cpus"
  | "cpusetCpus"
  | "cpusetMems"
  | "apparmor"
  | "apparmorProfiles"
  | "selinux"
  | "seccomp"
  | "capabilities"
>;

function groupsOfVersion1(): GroupFacts {
  const has = (...path: readonly string[]): boolean => existsSync(join(ROOT, ...path));
  return {
    cgroupVersion: 1,
    memoryLimit: has("memory", "memory.limit_in_bytes"),
    memoryReservation: has("memory", "memory.soft_limit_in_bytes"),
    swapLimit: has("memory", "memory.memsw.limit_in_bytes"),
    memorySwappiness: has("memory", "memory.swappiness"),
    oomKillDisable: has("memory", "memory.oom_control"),
    cpuShares: has("cpu", "cpu.shares"),
    cpuQuota: has("cpu", "cpu.cfs_quota_us"),
    cpuRealtime: has("cpu", "cpu.rt_runtime_us"),
    cpuset: has("cpuset"),
    pidsLimit: has("pids"),
    blkioWeight: has("blkio", "blkio.weight") || has("blkio", "blkio.bfq.weight"),
    blkioWeightDevice: has("blkio", "blkio.weight_device") || has("blkio", "blkio.bfq.weight_device"),
    blkioRates: has("blkio", "blkio.throttle.read_bps_device"),
  };
}

function groupsOfVersion2(): GroupFacts {
  const controllers = textOf(join(ROOT, "cgroup.controllers")).split(" ");
  const has = (name: string): boolean => controllers.includes(name);
  return {
    cgroupVersion: 2,
    memoryLimit: has("memory"),
    memoryReservation: has("memory"),
    swapLimit: has("memory") && existsInSomeGroup("memory.swap.max"),
    memorySwappiness: false,
    oomKillDisable: false,
    cpuShares: has("cpu"),
    cpuQuota: has("cpu"),
    cpuRealtime: false,
    cpuset: has("cpuset"),
    pidsLimit: has("pids"),
    blkioWeight: has("io") && (existsInSomeGroup("io.weight") || existsInSomeGroup("io.bfq.weight")),
    blkioWeightDevice: has("io"),
    blkioRates: has("io"),
  };
}

/** The root group has no limits: whether one is offered shows in any group below it. */
function existsInSomeGroup(file: string): boolean {
  const groups = readdirSync(ROOT, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return groups.some((group) => existsSync(join(ROOT, group.name, file)));
}
