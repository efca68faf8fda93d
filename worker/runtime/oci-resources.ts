/**
 * Limits and device rules of a container in the terms of the OCI configuration, for cgroup v1 and v2 alike.
 * Pure. The runtime converts the v1 terms (swap includes memory, quota per period) where the host has v2.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { OciDeviceRule, OciResources } from "./oci-types.js";

export interface ResourceLimits {
  /** 0: no limit. */
  readonly memoryBytes: number;
  /** Memory and swap together, as Docker's --memory-swap: undefined: twice the memory; -1: unlimited. */
  readonly swapBytes: number | undefined;
  /** Thousand-millionths of a core; 0: no limit. */
  readonly nanoCpus: number;
  /** 0 or less: no limit. */
  readonly pidsLimit: number;
}

const MEMORY_BYTES_MIN = 6 * 1024 * 1024;
const CPU_PERIOD_US = 100_000;
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

/** @throws {InvalidArgumentError} when a limit is impossible. */
export function ociResources(limits: ResourceLimits): OciResources {
  const { memoryBytes, swapBytes, nanoCpus, pidsLimit } = limits;
  if (memoryBytes !== 0 && memoryBytes < MEMORY_BYTES_MIN) {
    throw new InvalidArgumentError(
      `memory limit must be 0 or at least ${MEMORY_BYTES_MIN} bytes, got ${memoryBytes}`,
    );
  }
  if (swapBytes !== undefined && swapBytes > 0 && (memoryBytes === 0 || swapBytes < memoryBytes)) {
    throw new InvalidArgumentError(
      `memory and swap together must not be below the memory limit, got ${swapBytes}`,
    );
  }
  if (nanoCpus < 0) throw new InvalidArgumentError(`nanoCpus must not be negative, got ${nanoCpus}`);
  const quota = Math.max(CPU_QUOTA_US_MIN, Math.round((nanoCpus * CPU_PERIOD_US) / 1e9));
  const swap = swapBytes === undefined || swapBytes === 0 ? memoryBytes * 2 : swapBytes;
  return {
    devices: DEVICE_RULES,
    ...(memoryBytes > 0 ? { memory: { limit: memoryBytes, swap } } : {}),
    ...(nanoCpus > 0 ? { cpu: { quota, period: CPU_PERIOD_US } } : {}),
    ...(pidsLimit > 0 ? { pids: { limit: pidsLimit } } : {}),
  };
}
