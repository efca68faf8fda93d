/**
 * One sample of a container's counters. Edge: to /sys/fs/cgroup and /proc, small files of the kernel's memory,
 * read at once. Invariant: a counter that this kernel does not have is 0 or absent, as Docker shows it.
 * Sources: cgroups(7), cgroup-v2.rst, proc(5).
 */
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../base/clock/clock.js";
import { AbortedError } from "../../../base/errors/errors.js";
import type { ContainerRecord } from "../../../proto/engine/containers.js";
import type { ContainerSample } from "../../../proto/engine/files.js";
import { type CgroupMode, detectCgroupMode } from "../../runtime/linux-cgroup.js";
import {
  blkioV1,
  blkioV2,
  cgroupPaths,
  interfacesIn,
  keyedNumbers,
  numbersIn,
  soleNumber,
  systemCpuNs,
  ticksToNs,
} from "./cgroup-counters.js";

const ROOT = "/sys/fs/cgroup";
const US_NS = 1_000;

/** The text of a file of the container's group; "" where there is none. */
export type Reader = (controller: string, file: string) => string;

export class ContainerSampler {
  readonly #clock: Clock;
  #mode: CgroupMode | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws {AbortedError} (409) its process is gone. */
  sample(record: ContainerRecord): Promise<ContainerSample> {
    const { pid, id } = record;
    const text = textOf(`/proc/${pid}/cgroup`);
    if (text === "") return Promise.reject(new AbortedError(`Container ${id} is not running`));
    this.#mode ??= detectCgroupMode();
    const version = this.#mode === "v2" ? "2" : "1";
    const paths = cgroupPaths(text, id);
    const read: Reader = (controller, file) => {
      const path = version === "2" ? paths.get("") : paths.get(controller);
      if (path === undefined) return "";
      return textOf(join(ROOT, version === "2" ? "" : controller, path, file));
    };
    // next to the container's own time: what passes between the two is an error of its share
    const systemNs = systemCpuNs(textOf("/proc/stat"));
    const counters = version === "2" ? countersV2(read) : countersV1(read);
    const isHost = record.specification.network.kind === "host";
    return Promise.resolve({
      ...counters,
      cpu: {
        ...counters.cpu,
        systemNs,
        onlineCpus: cpus().length,
      },
      readMs: this.#clock.nowMs(),
      cgroupVersion: version,
      networks: isHost ? {} : interfacesIn(textOf(`/proc/${pid}/net/dev`)),
    });
  }
}

export type Counters = Pick<ContainerSample, "pids" | "memory" | "blkio"> & {
  readonly cpu: Omit<ContainerSample["cpu"], "systemNs" | "onlineCpus">;
};

export function countersV1(read: Reader): Counters {
  const number = (controller: string, file: string): number => soleNumber(read(controller, file)) ?? 0;
  const times = keyedNumbers(read("cpuacct", "cpuacct.stat"));
  const throttling = keyedNumbers(read("cpu", "cpu.stat"));
  const blkio = (name: string): ContainerSample["blkio"][string] => {
    const own = blkioV1(read("blkio", `blkio.bfq.${name}`));
    return own.length > 0 ? own : blkioV1(read("blkio", `blkio.${name}`));
  };
  const throttled = (name: string): ContainerSample["blkio"][string] => {
    const own = blkio(name);
    return own.length > 0 ? own : blkioV1(read("blkio", `blkio.throttle.${name}`));
  };
  return {
    pids: { current: number("pids", "pids.current"), limit: number("pids", "pids.max") },
    cpu: {
      totalNs: number("cpuacct", "cpuacct.usage"),
      userNs: ticksToNs(times["user"]),
      kernelNs: ticksToNs(times["system"]),
      perCpuNs: numbersIn(read("cpuacct", "cpuacct.usage_percpu")),
      periods: throttling["nr_periods"] ?? 0,
      throttledPeriods: throttling["nr_throttled"] ?? 0,
      throttledNs: throttling["throttled_time"] ?? 0,
    },
    memory: {
      usageBytes: number("memory", "memory.usage_in_bytes"),
      maxUsageBytes: number("memory", "memory.max_usage_in_bytes"),
      limitBytes: limitOf(soleNumber(read("memory", "memory.limit_in_bytes"))),
      failures: number("memory", "memory.failcnt"),
      stats: keyedNumbers(read("memory", "memory.stat")),
    },
    blkio: {
      io_service_bytes_recursive: throttled("io_service_bytes_recursive"),
      io_serviced_recursive: throttled("io_serviced_recursive"),
      io_queue_recursive: blkio("io_queued_recursive"),
      io_service_time_recursive: blkio("io_service_time_recursive"),
      io_wait_time_recursive: blkio("io_wait_time_recursive"),
      io_merged_recursive: blkio("io_merged_recursive"),
      io_time_recursive: blkio("time_recursive"),
      sectors_recursive: blkio("sectors_recursive"),
    },
  };
}

export function countersV2(read: Reader): Counters {
  const number = (file: string): number => soleNumber(read("", file)) ?? 0;
  const cpu = keyedNumbers(read("", "cpu.stat"));
  const { bytes, operations } = blkioV2(read("", "io.stat"));
  return {
    pids: { current: number("pids.current"), limit: number("pids.max") },
    cpu: {
      totalNs: (cpu["usage_usec"] ?? 0) * US_NS,
      userNs: (cpu["user_usec"] ?? 0) * US_NS,
      kernelNs: (cpu["system_usec"] ?? 0) * US_NS,
      perCpuNs: [],
      periods: cpu["nr_periods"] ?? 0,
      throttledPeriods: cpu["nr_throttled"] ?? 0,
      throttledNs: (cpu["throttled_usec"] ?? 0) * US_NS,
    },
    memory: {
      usageBytes: number("memory.current"),
      maxUsageBytes: 0, // Docker shows none on v2
      limitBytes: limitOf(soleNumber(read("", "memory.max"))),
      failures: 0,
      stats: keyedNumbers(read("", "memory.stat")),
    },
    blkio: { io_service_bytes_recursive: bytes, io_serviced_recursive: operations },
  };
}

/** No limit, or one above what the machine has, is the machine's memory. */
function limitOf(bytes: number | undefined): number {
  const machine = totalmem();
  return bytes === undefined || bytes > machine ? machine : bytes;
}

/** "" for what is gone or what this kernel does not have. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}
