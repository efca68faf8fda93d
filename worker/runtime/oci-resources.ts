/**
 * Limits and device rules of a container in the terms of the OCI configuration, for cgroup v1 and v2 alike.
 * Pure. The runtime converts the v1 terms (swap includes memory, quota per period, shares) where the host
 * has v2. Limits that no kernel would take were refused by `admitResources`.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerResources, DeviceRate } from "../../proto/engine/containers.js";
import type { OciDeviceRate, OciDeviceRule, OciResources } from "./oci-types.js";

export type ResourceLimits = ContainerResources;

/** Numbers of block devices by their paths. */
export type BlockDevices = ReadonlyMap<string, { readonly major: number; readonly minor: number }>;

export const CPU_PERIOD_US = 100_000;
const CPU_QUOTA_US_MIN = 1_000;

const character = (major: number, minor: number | undefined, access = "rwm"): OciDeviceRule => ({
  allow: true,
  type: "c",
  major,
  ...(minor === undefined ? {} : { minor }),
  access,
});

/** Everything denied, then: making nodes, null zero full random urandom tty console ptmx pts. */
const DEVICE_RULES: readonly OciDeviceRule[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  character(1, 3),
  character(1, 5),
  character(1, 7),
  character(1, 8),
  character(1, 9),
  character(5, 0),
  character(5, 1),
  character(5, 2),
  character(136, undefined),
];
const ALL_DEVICES: readonly OciDeviceRule[] = [{ allow: true, access: "rwm" }];

export interface ResourceExtras {
  readonly privileged?: boolean;
  readonly rules?: readonly OciDeviceRule[];
  readonly blockDevices?: BlockDevices;
}

/** @throws {InvalidArgumentError} a block device whose number is not known. */
export function ociResources(limits: ResourceLimits, extras: ResourceExtras = {}): OciResources {
  const base = extras.privileged === true ? ALL_DEVICES : DEVICE_RULES;
  const { pidsLimit } = limits;
  const sections = {
    memory: memorySection(limits),
    cpu: cpuSection(limits),
    pids: pidsLimit > 0 ? { limit: pidsLimit } : undefined,
    blockIO: blockSection(limits, extras.blockDevices ?? new Map()),
  };
  return { devices: [...base, ...(extras.rules ?? [])], ...present(sections) };
}

/** Paths of the block devices that limits name. */
export function blockDevicePaths(limits: ResourceLimits): readonly string[] {
  const lists = [
    limits.blkioWeightDevices,
    limits.blkioReadBps,
    limits.blkioWriteBps,
    limits.blkioReadIops,
    limits.blkioWriteIops,
  ];
  return lists.flatMap((list) => (list ?? []).map(({ path }) => path));
}

function memorySection(limits: ResourceLimits): OciResources["memory"] | undefined {
  const { memoryBytes, swapBytes, memoryReservationBytes, memorySwappiness } = limits;
  const swap = swapBytes === undefined || swapBytes === 0 ? memoryBytes * 2 : swapBytes;
  return someOf({
    limit: memoryBytes > 0 ? memoryBytes : undefined,
    swap: memoryBytes > 0 ? swap : undefined,
    reservation: positive(memoryReservationBytes),
    swappiness: memorySwappiness === -1 ? undefined : memorySwappiness,
    disableOOMKiller: limits.oomKillDisable === true ? true : undefined,
  });
}

function cpuSection(limits: ResourceLimits): OciResources["cpu"] | undefined {
  const { nanoCpus, cpuQuota, cpuPeriod } = limits;
  const whole = nanoCpus > 0;
  const quotaOfCpus = Math.max(CPU_QUOTA_US_MIN, Math.round((nanoCpus * CPU_PERIOD_US) / 1e9));
  return someOf({
    shares: positive(limits.cpuShares),
    quota: whole ? quotaOfCpus : cpuQuota === 0 ? undefined : cpuQuota,
    period: whole ? CPU_PERIOD_US : positive(cpuPeriod),
    realtimeRuntime: positive(limits.cpuRealtimeRuntime),
    realtimePeriod: positive(limits.cpuRealtimePeriod),
    cpus: limits.cpusetCpus || undefined,
    mems: limits.cpusetMems || undefined,
  });
}

function blockSection(limits: ResourceLimits, devices: BlockDevices): OciResources["blockIO"] | undefined {
  const numberOf = (path: string): { readonly major: number; readonly minor: number } => {
    const number = devices.get(path);
    if (number === undefined) throw new InvalidArgumentError(`no such device: ${path}`);
    return number;
  };
  const rates = (list: readonly DeviceRate[] = []): readonly OciDeviceRate[] | undefined =>
    list.length === 0 ? undefined : list.map(({ path, rate }) => ({ ...numberOf(path), rate }));
  const weights = (limits.blkioWeightDevices ?? []).map(({ path, weight }) => ({
    ...numberOf(path),
    weight,
  }));
  return someOf({
    weight: positive(limits.blkioWeight),
    weightDevice: weights.length === 0 ? undefined : weights,
    throttleReadBpsDevice: rates(limits.blkioReadBps),
    throttleWriteBpsDevice: rates(limits.blkioWriteBps),
    throttleReadIOPSDevice: rates(limits.blkioReadIops),
    throttleWriteIOPSDevice: rates(limits.blkioWriteIops),
  });
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}

type Present<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the fields that are undefined. */
function present<T extends object>(fields: T): Present<T> {
  // only undefined ones are taken out, so what stays has the types of T without undefined
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
}

function someOf<T extends object>(fields: T): Present<T> | undefined {
  const kept = present(fields);
  return Object.keys(kept).length === 0 ? undefined : kept;
}
