/**
 * Limits of a container, from Docker's Resources. Pure.
 * Refused is what dockerd refuses, in its words; what Linux has not is warned about by name.
 * Source: Docker Engine API 1.51, Resources.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerResources, DeviceRate } from "../../proto/engine/containers.js";
import type { Fields } from "./fields.js";

export interface Machine {
  readonly cgroupVersion: "1" | "2";
  readonly cpus: number;
}

const MEMORY_BYTES_MIN = 6 * 1024 * 1024;
const ANY = { min: Number.MIN_SAFE_INTEGER };

type Changed = { -readonly [Key in keyof ContainerResources]?: ContainerResources[Key] };

/** What the request says, and nothing else: 0 is unsaid. */
export function resourcesIn(
  fields: Fields,
  machine: Machine,
  warnings: string[],
  /** An update of a container that has a limit of memory already. */
  options: { readonly swapAlone?: boolean } = {},
): Changed {
  const whole = (key: string): number => fields.integer(key, ANY);
  const resources: Changed = {};
  const set = <Key extends keyof ContainerResources>(key: Key, value: ContainerResources[Key]): void => {
    if (value !== 0 && value !== "" && value !== undefined) resources[key] = value;
  };
  set("memoryBytes", whole("Memory"));
  set("swapBytes", whole("MemorySwap"));
  set("memoryReservationBytes", whole("MemoryReservation"));
  set("nanoCpus", whole("NanoCpus"));
  set("cpuShares", whole("CpuShares"));
  set("cpuPeriod", whole("CpuPeriod"));
  set("cpuQuota", whole("CpuQuota"));
  set("cpuRealtimePeriod", whole("CpuRealtimePeriod"));
  set("cpuRealtimeRuntime", whole("CpuRealtimeRuntime"));
  set("cpusetCpus", fields.string("CpusetCpus"));
  set("cpusetMems", fields.string("CpusetMems"));
  set("blkioWeight", whole("BlkioWeight"));
  const weights = fields.objects("BlkioWeightDevice");
  if (weights.length > 0)
    resources.blkioWeightDevices = weights.map((one) => ({
      path: one.string("Path"),
      weight: one.integer("Weight"),
    }));
  const rates = (key: string): DeviceRate[] | undefined => {
    const given = fields.objects(key);
    if (given.length === 0) return undefined;
    return given.map((one) => ({ path: one.string("Path"), rate: one.integer("Rate") }));
  };
  set("blkioReadBps", rates("BlkioDeviceReadBps"));
  set("blkioWriteBps", rates("BlkioDeviceWriteBps"));
  set("blkioReadIops", rates("BlkioDeviceReadIOps"));
  set("blkioWriteIops", rates("BlkioDeviceWriteIOps"));
  const pids = fields.optionalInteger("PidsLimit", ANY);
  if (pids !== undefined) resources.pidsLimit = Math.max(0, pids);
  swappinessIn(fields, machine, resources, warnings);
  oomKillIn(fields, machine, resources, warnings);
  notOfLinux(fields, warnings);
  checkMemory(resources, options.swapAlone ?? false);
  checkCpus(resources, machine);
  checkBlkio(resources);
  return resources;
}

function swappinessIn(fields: Fields, machine: Machine, resources: Changed, warnings: string[]): void {
  const swappiness = fields.optionalInteger("MemorySwappiness", ANY);
  if (swappiness === undefined || swappiness === -1) return;
  if (swappiness < 0 || swappiness > 100)
    throw new InvalidArgumentError(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  if (machine.cgroupVersion === "1") resources.memorySwappiness = swappiness;
  else
    warnings.push(
      "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. " +
        "Memory swappiness discarded.",
    );
}

function oomKillIn(fields: Fields, machine: Machine, resources: Changed, warnings: string[]): void {
  if (!fields.bool("OomKillDisable")) return;
  if (machine.cgroupVersion === "2") {
    warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    return;
  }
  resources.oomKillDisable = true;
  if (resources.memoryBytes === undefined)
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, " +
        "this can result in the system running out of resources.",
    );
}

function notOfLinux(fields: Fields, warnings: string[]): void {
  if (fields.integer("CpuCount", ANY) !== 0)
    warnings.push("linux does not support CPU count. Count discarded.");
  if (fields.integer("CpuPercent", ANY) !== 0)
    warnings.push("linux does not support CPU percent. Percent discarded.");
  if (fields.integer("IOMaximumIOps", ANY) !== 0)
    throw new InvalidArgumentError(
      "Invalid QoS settings: linux does not support configuration of maximum IOPs",
    );
  if (fields.integer("IOMaximumBandwidth", ANY) !== 0)
    throw new InvalidArgumentError(
      "Invalid QoS settings: linux does not support configuration of maximum bandwidth",
    );
  for (const key of ["KernelMemory", "KernelMemoryTCP"]) {
    if (fields.integer(key, ANY) !== 0)
      warnings.push(`${key} is no longer honoured by Linux. ${key} discarded.`);
  }
}

function checkMemory(
  { memoryBytes = 0, swapBytes = 0, memoryReservationBytes = 0 }: Changed,
  swapAlone: boolean,
): void {
  const refuse = (words: string): never => {
    throw new InvalidArgumentError(words);
  };
  if (memoryBytes !== 0 && memoryBytes < MEMORY_BYTES_MIN) refuse("Minimum memory limit allowed is 6MB");
  if (memoryBytes > 0 && swapBytes > 0 && swapBytes < memoryBytes)
    refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
  if (memoryBytes === 0 && swapBytes > 0 && !swapAlone)
    refuse("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (memoryReservationBytes !== 0 && memoryReservationBytes < MEMORY_BYTES_MIN)
    refuse("Minimum memory reservation allowed is 6MB");
  if (memoryBytes > 0 && memoryBytes < memoryReservationBytes)
    refuse("Minimum memory limit can not be less than memory reservation limit, see usage");
}

function checkCpus(resources: Changed, { cpus }: Machine): void {
  const { nanoCpus, cpuPeriod, cpuQuota, cpuRealtimePeriod = 0, cpuRealtimeRuntime = 0 } = resources;
  const refuse = (words: string): never => {
    throw new InvalidArgumentError(words);
  };
  if ((resources.cpuShares ?? 0) < 0)
    refuse(`invalid CPU shares (${resources.cpuShares}): value must be a positive integer`);
  if (nanoCpus !== undefined && cpuPeriod !== undefined)
    refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  if (nanoCpus !== undefined && cpuQuota !== undefined)
    refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  if (nanoCpus !== undefined && (nanoCpus < 0 || nanoCpus > cpus * 1e9))
    refuse(`Range of CPUs is from 0.01 to ${cpus}.00, as there are only ${cpus} CPUs available`);
  if (cpuPeriod !== undefined && (cpuPeriod < 1_000 || cpuPeriod > 1_000_000))
    refuse("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  if (cpuQuota !== undefined && cpuQuota !== -1 && cpuQuota < 1_000)
    refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  if (cpuRealtimePeriod !== 0 && cpuRealtimeRuntime > cpuRealtimePeriod)
    refuse("cpu real-time runtime cannot be higher than cpu real-time period");
  checkCpuset(resources.cpusetCpus ?? "", cpus);
  if (numbersOf(resources.cpusetMems ?? "") === undefined)
    refuse(`Invalid value ${resources.cpusetMems} for cpuset mems: invalid format: ${resources.cpusetMems}`);
}

function checkCpuset(text: string, cpus: number): void {
  const numbers = numbersOf(text);
  if (numbers === undefined)
    throw new InvalidArgumentError(`Invalid value ${text} for cpuset cpus: invalid format: ${text}`);
  if (!numbers.every((number) => number < cpus)) {
    const there = cpus === 1 ? "0" : `0-${cpus - 1}`;
    throw new InvalidArgumentError(
      `Requested CPUs are not available - requested ${text}, available: ${there}`,
    );
  }
}

/** Ends of the ranges of "0-2,4"; undefined: no such list. */
function numbersOf(text: string): number[] | undefined {
  if (text === "") return [];
  const numbers: number[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d{1,7})(?:-(\d{1,7}))?$/.exec(part);
    if (match === null) return undefined;
    const last = Number(match[2] ?? match[1]);
    if (last < Number(match[1])) return undefined;
    numbers.push(last);
  }
  return numbers;
}

function checkBlkio(resources: Changed): void {
  const { blkioWeightDevices = [] } = resources; // blkioWeight: where it is known whether the kernel has it
  const wrong = (weight: number): boolean => weight < 10 || weight > 1000;
  const device = blkioWeightDevices.find(({ weight }) => weight !== 0 && wrong(weight));
  if (device !== undefined)
    throw new InvalidArgumentError(`Range of blkio weight is from 10 to 1000: ${device.path}`);
}
