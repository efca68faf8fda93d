/**
 * Are limits ones that can be, and what of them does this kernel lack? Pure.
 * Invariant: what the kernel cannot do is taken out and told in a warning, never passed on in silence; what
 * no kernel could do is refused. Words as in Docker, where users and scripts look for them.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerResources } from "../../proto/engine/containers.js";
import { parseIdSet } from "./id-set.js";
import type { KernelFacts } from "./kernel-facts.js";

const MEMORY_BYTES_MIN = 6 * 1024 * 1024;
const CPU_PERIOD_US = { min: 1_000, max: 1_000_000 } as const;
const CPU_QUOTA_US_MIN = 1_000;
const NANO_CPUS_MIN = 1e7;
const BLKIO_WEIGHT = { min: 10, max: 1_000 } as const;

export interface AdmittedResources {
  readonly resources: ContainerResources;
  readonly warnings: readonly string[];
}

/** @throws {InvalidArgumentError} a limit that is impossible. */
export function admitResources(asked: ContainerResources, kernel: KernelFacts): AdmittedResources {
  checkMemory(asked);
  checkCpu(asked, kernel);
  if (kernel.blkioWeight) checkBlockIo(asked); // Docker discards first what the kernel cannot do
  const warnings: string[] = [];
  const resources = { ...asked };
  const lacks = (ok: boolean, words: string, drop: () => void): void => {
    if (ok) return;
    warnings.push(words);
    drop();
  };
  const unsupported = (what: string, then: string): string =>
    `Your kernel does not support ${what} or the cgroup is not mounted. ${then}`;

  if (asked.memoryBytes > 0)
    lacks(
      kernel.memoryLimit,
      unsupported("memory limit capabilities", "Limitation discarded."),
      () => void Object.assign(resources, { memoryBytes: 0, swapBytes: -1 }),
    );
  if (asked.memoryBytes > 0 && asked.swapBytes !== -1 && !kernel.swapLimit) {
    if (kernel.memoryLimit)
      warnings.push(unsupported("swap limit capabilities", "Memory limited without swap."));
    Object.assign(resources, { swapBytes: -1 });
  }
  if (asked.memorySwappiness !== undefined && asked.memorySwappiness !== -1)
    lacks(
      kernel.memorySwappiness,
      unsupported("memory swappiness capabilities", "Memory swappiness discarded."),
      () => void delete resources.memorySwappiness,
    );
  if ((asked.memoryReservationBytes ?? 0) > 0)
    lacks(
      kernel.memoryReservation,
      unsupported("memory soft limit capabilities", "Limitation discarded."),
      () => void delete resources.memoryReservationBytes,
    );
  if (asked.oomKillDisable === true) {
    lacks(
      kernel.oomKillDisable,
      kernel.cgroupVersion === 2
        ? "Your kernel does not support OomKillDisable. OomKillDisable discarded."
        : unsupported("OomKillDisable", "OomKillDisable discarded."),
      () => void delete resources.oomKillDisable,
    );
    if (kernel.oomKillDisable && asked.memoryBytes === 0)
      warnings.push(
        "OOM killer is disabled for the container, but no memory limit is set, " +
          "this can result in the system running out of resources.",
      );
  }
  if (asked.pidsLimit > 0)
    lacks(
      kernel.pidsLimit,
      unsupported("pids limit capabilities", "PIDs limit discarded."),
      () => void Object.assign(resources, { pidsLimit: 0 }),
    );
  if ((asked.cpuShares ?? 0) > 0)
    lacks(
      kernel.cpuShares,
      unsupported("CPU shares", "Shares discarded."),
      () => void delete resources.cpuShares,
    );
  if ((asked.cpuPeriod ?? 0) > 0 || (asked.cpuQuota ?? 0) > 0)
    lacks(kernel.cpuQuota, unsupported("CPU CFS scheduler", "Period and quota discarded."), () => {
      delete resources.cpuPeriod;
      delete resources.cpuQuota;
    });
  if (asked.cpusetCpus || asked.cpusetMems)
    lacks(kernel.cpuset, unsupported("cpuset", "Cpuset discarded."), () => {
      delete resources.cpusetCpus;
      delete resources.cpusetMems;
    });
  if ((asked.blkioWeight ?? 0) > 0)
    lacks(
      kernel.blkioWeight,
      unsupported("Block I/O weight", "Weight discarded."),
      () => void delete resources.blkioWeight,
    );
  if ((asked.blkioWeightDevices ?? []).length > 0)
    lacks(
      kernel.blkioWeightDevice,
      unsupported("Block I/O weight_device", "Weight-device discarded."),
      () => void delete resources.blkioWeightDevices,
    );
  const rates = [
    ["blkioReadBps", "BPS Block I/O read limit", "Block I/O BPS read limit discarded."],
    ["blkioWriteBps", "BPS Block I/O write limit", "Block I/O BPS write limit discarded."],
    ["blkioReadIops", "IOPS Block read limit", "Block I/O IOPS read limit discarded."],
    ["blkioWriteIops", "IOPS Block write limit", "Block I/O IOPS write limit discarded."],
  ] as const;
  for (const [key, what, then] of rates)
    if ((asked[key] ?? []).length > 0)
      lacks(kernel.blkioRates, unsupported(what, then), () => void delete resources[key]);
  return { resources, warnings };
}

function checkMemory(asked: ContainerResources): void {
  const { memoryBytes, swapBytes = 0, memoryReservationBytes = 0, memorySwappiness: swappiness } = asked;
  if (memoryBytes !== 0 && memoryBytes < MEMORY_BYTES_MIN)
    throw new InvalidArgumentError("Minimum memory limit allowed is 6MB");
  if (memoryBytes > 0 && swapBytes > 0 && swapBytes < memoryBytes)
    throw new InvalidArgumentError("Minimum memoryswap limit should be larger than memory limit, see usage");
  if (memoryBytes === 0 && swapBytes > 0)
    throw new InvalidArgumentError(
      "You should always set the Memory limit when using Memoryswap limit, see usage",
    );
  if (swappiness !== undefined && (swappiness < -1 || swappiness > 100))
    throw new InvalidArgumentError(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  if (memoryReservationBytes > 0 && memoryReservationBytes < MEMORY_BYTES_MIN)
    throw new InvalidArgumentError("Minimum memory reservation allowed is 6MB");
  if (memoryBytes > 0 && memoryReservationBytes > memoryBytes)
    throw new InvalidArgumentError(
      "Minimum memory limit can not be less than memory reservation limit, see usage",
    );
}

function checkCpu(asked: ContainerResources, kernel: KernelFacts): void {
  const { nanoCpus, cpuPeriod = 0, cpuQuota = 0 } = asked;
  if (nanoCpus > 0 && cpuPeriod > 0)
    throw new InvalidArgumentError("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  if (nanoCpus > 0 && cpuQuota > 0)
    throw new InvalidArgumentError("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  if (nanoCpus < 0 || (nanoCpus > 0 && nanoCpus < NANO_CPUS_MIN) || nanoCpus > kernel.cpus * 1e9)
    throw new InvalidArgumentError(
      `Range of CPUs is from 0.01 to ${kernel.cpus}.00, as there are only ${kernel.cpus} CPUs available`,
    );
  if (cpuPeriod !== 0 && (cpuPeriod < CPU_PERIOD_US.min || cpuPeriod > CPU_PERIOD_US.max))
    throw new InvalidArgumentError(
      "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    );
  if (cpuQuota > 0 && cpuQuota < CPU_QUOTA_US_MIN)
    throw new InvalidArgumentError("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  checkRealtime(asked, kernel);
  checkCpuset({ kind: "cpus", words: "CPUs", asked: asked.cpusetCpus, available: kernel.cpusetCpus });
  checkCpuset({ kind: "mems", words: "memory nodes", asked: asked.cpusetMems, available: kernel.cpusetMems });
}

function checkRealtime(asked: ContainerResources, kernel: KernelFacts): void {
  const { cpuRealtimePeriod = 0, cpuRealtimeRuntime = 0 } = asked;
  if (cpuRealtimePeriod === 0 && cpuRealtimeRuntime === 0) return;
  if (!kernel.cpuRealtime)
    throw new InvalidArgumentError("Your kernel does not support CPU real-time scheduler");
  if (cpuRealtimePeriod !== 0 && cpuRealtimeRuntime > cpuRealtimePeriod)
    throw new InvalidArgumentError("cpu real-time runtime cannot be higher than cpu real-time period");
}

function checkCpuset(set: {
  kind: string;
  words: string;
  asked: string | undefined;
  available: string;
}): void {
  if (set.asked === undefined || set.asked === "") return;
  const wanted = parseIdSet(set.asked);
  if (wanted === undefined)
    throw new InvalidArgumentError(
      `Invalid value ${set.asked} for cpuset ${set.kind}: invalid format: ${set.asked}`,
    );
  const available = parseIdSet(set.available);
  if (available !== undefined && [...wanted].some((id) => !available.has(id)))
    throw new InvalidArgumentError(
      `Requested ${set.words} are not available - requested ${set.asked}, available: ${set.available}`,
    );
}

function checkBlockIo(asked: ContainerResources): void {
  const { blkioWeight = 0, blkioWeightDevices = [] } = asked;
  const outside = (weight: number): boolean => weight < BLKIO_WEIGHT.min || weight > BLKIO_WEIGHT.max;
  if (blkioWeight !== 0 && outside(blkioWeight))
    throw new InvalidArgumentError("Range of blkio weight is from 10 to 1000");
  for (const { path, weight } of blkioWeightDevices)
    if (weight !== 0 && outside(weight))
      throw new InvalidArgumentError(`Range of blkio weight is from 10 to 1000, got ${weight} for ${path}`);
}
