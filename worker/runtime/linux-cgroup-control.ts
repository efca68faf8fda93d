/**
 * Freezes a living control group and changes its limits, on v1 and v2, by its files: no process is spawned.
 * Edge: to /sys/fs/cgroup.
 * Sources: kernel Documentation/admin-guide/cgroup-v1 (freezer, memory) and cgroup-v2.rst.
 */
import { existsSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock/clock.js";
import { DeadlineExceededError, FailedPreconditionError, messageOf } from "../../base/errors/errors.js";
import type { CgroupMode } from "./linux-cgroup.js";
import { isErrno } from "./linux-process.js";
import type { OciResources } from "./oci-types.js";

const ROOT = "/sys/fs/cgroup";
const FREEZE_TIMEOUT_MS = 10_000;
const LOOK_AGAIN_MS = 1;
const CPU_PERIOD_US = 100_000;

/** Of one container. */
export interface LivingGroup {
  readonly mode: CgroupMode;
  /** Absolute in the cgroup tree. */
  readonly path: string;
}

/**
 * Resolves when every process of the group stands still, or runs again.
 * @throws {DeadlineExceededError} {FailedPreconditionError} the group is gone.
 */
export async function setFrozen(group: LivingGroup, frozen: boolean, clock: Clock): Promise<void> {
  const v2 = group.mode === "v2";
  const state = v2 ? "cgroup.freeze" : "freezer.state";
  const [wanted, told] = v2
    ? [frozen ? "1" : "0", `frozen ${frozen ? 1 : 0}`]
    : [frozen ? "FROZEN" : "THAWED", frozen ? "FROZEN" : "THAWED"];
  const folder = join(v2 ? ROOT : join(ROOT, "freezer"), group.path);
  const startMs = clock.monotonicMs();
  try {
    for (;;) {
      // v1 can stop halfway (FREEZING) while a task is in the kernel: writing again makes it go on
      await writeFile(join(folder, state), wanted);
      const text = await readFile(join(folder, v2 ? "cgroup.events" : state), "latin1");
      if (text.split("\n").includes(told)) return;
      if (clock.monotonicMs() - startMs > FREEZE_TIMEOUT_MS) break;
      await clock.sleep(LOOK_AGAIN_MS);
    }
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV")) {
      throw new FailedPreconditionError("the container's control group is gone", { cause: error });
    }
    throw error;
  }
  await writeFile(join(folder, state), v2 ? "0" : "THAWED");
  throw new DeadlineExceededError(`the container's processes could not be frozen in ${FREEZE_TIMEOUT_MS} ms`);
}

/** False also when the group is gone. */
export async function isFrozen({ mode, path }: LivingGroup): Promise<boolean> {
  const v2 = mode === "v2";
  const file = v2 ? join(ROOT, path, "cgroup.freeze") : join(ROOT, "freezer", path, "freezer.state");
  try {
    return ["1", "FROZEN"].includes((await readFile(file, "latin1")).trim());
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV")) return false;
    throw error;
  }
}

/** Only what is given is changed. @throws {FailedPreconditionError} the kernel refuses, with the file's name. */
export async function setLimits(group: LivingGroup, resources: OciResources): Promise<void> {
  const writes = group.mode === "v2" ? writesOfV2(resources) : writesOfV1(resources, group.path);
  for (const { file, value, optional = false } of writes) {
    const folder = group.mode === "v2" ? ROOT : join(ROOT, file.slice(0, file.indexOf("/")));
    const name = group.mode === "v2" ? file : file.slice(file.indexOf("/") + 1);
    const path = join(folder, group.path, name);
    if (optional && !existsSync(path)) continue;
    try {
      await writeFile(path, value);
    } catch (error) {
      throw new FailedPreconditionError(`${name} refuses ${value}: ${messageOf(error)}`, { cause: error });
    }
  }
}

interface GroupWrite {
  /** v1: with its controller in front. */
  readonly file: string;
  readonly value: string;
  /** A kernel without that controller has not the file: no limit then, as at the start of a container. */
  readonly optional?: boolean;
}

function writesOfV1(resources: OciResources, path: string): readonly GroupWrite[] {
  const { memory, cpu, pids, blockIO } = resources;
  return [
    ...memoryOfV1(memory, path),
    ...one("memory/memory.soft_limit_in_bytes", memory?.reservation),
    ...one("memory/memory.swappiness", memory?.swappiness),
    ...one("cpu/cpu.shares", cpu?.shares),
    ...one("cpu/cpu.cfs_period_us", cpu?.period),
    ...one("cpu/cpu.cfs_quota_us", cpu?.quota),
    ...one("cpu/cpu.rt_period_us", cpu?.realtimePeriod),
    ...one("cpu/cpu.rt_runtime_us", cpu?.realtimeRuntime),
    ...one("cpuset/cpuset.cpus", cpu?.cpus),
    ...one("cpuset/cpuset.mems", cpu?.mems),
    ...one("pids/pids.max", pids?.limit),
    ...one("blkio/blkio.weight", blockIO?.weight, true),
    ...one("blkio/blkio.bfq.weight", blockIO?.weight, true),
  ];
}

/** The limit of memory must never stand above that of memory and swap: the one that makes room goes first. */
function memoryOfV1(memory: OciResources["memory"], path: string): readonly GroupWrite[] {
  const limit = one("memory/memory.limit_in_bytes", memory?.limit);
  const swap = one("memory/memory.memsw.limit_in_bytes", memory?.swap, true);
  if (memory?.limit === undefined || memory.swap === undefined) return [...limit, ...swap];
  const current = currentOfV1(path);
  return memory.swap === -1 || memory.swap > current ? [...swap, ...limit] : [...limit, ...swap];
}

function currentOfV1(path: string): number {
  try {
    return Number(readFileSync(join(ROOT, "memory", path, "memory.memsw.limit_in_bytes"), "latin1"));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return 0; // no swap accounting
    throw error;
  }
}

function writesOfV2(resources: OciResources): readonly GroupWrite[] {
  const { memory, cpu, pids, blockIO } = resources;
  const swap =
    memory?.swap === undefined ? undefined : memory.swap < 0 ? "max" : memory.swap - (memory.limit ?? 0);
  const quota = cpu?.quota === undefined || cpu.quota <= 0 ? "max" : String(cpu.quota);
  const bandwidth =
    cpu?.quota === undefined && cpu?.period === undefined
      ? undefined
      : `${quota} ${cpu.period ?? CPU_PERIOD_US}`;
  return [
    ...one("memory.swap.max", swap, true),
    ...one("memory.max", memory?.limit),
    ...one("memory.low", memory?.reservation),
    ...one("cpu.weight", cpu?.shares === undefined ? undefined : weightOfShares(cpu.shares)),
    ...one("cpu.max", bandwidth),
    ...one("cpuset.cpus", cpu?.cpus),
    ...one("cpuset.mems", cpu?.mems),
    ...one("pids.max", pids?.limit),
    ...one("io.bfq.weight", blockIO?.weight, true),
    ...one("io.weight", blockIO?.weight === undefined ? undefined : ioWeightOf(blockIO.weight), true),
  ];
}

/** 10 to 1000 of Docker as 1 to 10000 of io.weight, as the runtimes do it at the start. */
export function ioWeightOf(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

/** 2 to 262144 shares onto 1 to 10000, as the runtimes do it. */
export function weightOfShares(shares: number): number {
  const within = Math.min(262_144, Math.max(2, shares));
  return 1 + Math.floor(((within - 2) * 9_999) / 262_142);
}

function one(file: string, value: number | string | undefined, optional = false): readonly GroupWrite[] {
  return value === undefined ? [] : [{ file, value: String(value), optional }];
}
