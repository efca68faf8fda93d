/**
 * A sample of a container's counters in Docker's form. Pure.
 * Source: Docker Engine API, ContainerStats: what is zero is left out where Docker leaves it out.
 */
import type { ContainerSample } from "../../proto/engine/files.js";
import type { JsonValue } from "./shape.js";

/** What Go prints for no time. */
const NEVER = "0001-01-01T00:00:00Z";
const BLKIO_KEYS = [
  "io_service_bytes_recursive",
  "io_serviced_recursive",
  "io_queue_recursive",
  "io_service_time_recursive",
  "io_wait_time_recursive",
  "io_merged_recursive",
  "io_time_recursive",
  "sectors_recursive",
];

export interface StatsOut {
  readonly id: string;
  readonly name: string;
  /** undefined: the container does not run. */
  readonly sample: ContainerSample | undefined;
  /** The one before, by which the client computes shares; undefined: none. */
  readonly before: ContainerSample | undefined;
}

export function statsOut({ id, name, sample, before }: StatsOut): JsonValue {
  return {
    read: timeOf(sample),
    preread: timeOf(before),
    pids_stats: nonZero({ current: sample?.pids.current ?? 0, limit: sample?.pids.limit ?? 0 }),
    blkio_stats: blkioOut(sample),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuOut(sample),
    precpu_stats: cpuOut(before),
    memory_stats: memoryOut(sample),
    name: `/${name.replace(/^\//, "")}`,
    id,
    ...networksOut(sample),
  };
}

function timeOf(sample: ContainerSample | undefined): string {
  return sample === undefined ? NEVER : new Date(sample.readMs).toISOString();
}

function cpuOut(sample: ContainerSample | undefined): JsonValue {
  const cpu = sample?.cpu;
  return {
    cpu_usage: {
      total_usage: cpu?.totalNs ?? 0,
      ...(cpu === undefined || cpu.perCpuNs.length === 0 ? {} : { percpu_usage: [...cpu.perCpuNs] }),
      usage_in_kernelmode: cpu?.kernelNs ?? 0,
      usage_in_usermode: cpu?.userNs ?? 0,
    },
    ...nonZero({ system_cpu_usage: cpu?.systemNs ?? 0, online_cpus: cpu?.onlineCpus ?? 0 }),
    throttling_data: {
      periods: cpu?.periods ?? 0,
      throttled_periods: cpu?.throttledPeriods ?? 0,
      throttled_time: cpu?.throttledNs ?? 0,
    },
  };
}

function memoryOut(sample: ContainerSample | undefined): JsonValue {
  if (sample === undefined) return {};
  const { usageBytes, maxUsageBytes, stats, failures, limitBytes } = sample.memory;
  return {
    ...nonZero({ usage: usageBytes, max_usage: maxUsageBytes }),
    stats: { ...stats },
    ...nonZero({ failcnt: failures, limit: limitBytes }),
  };
}

function blkioOut(sample: ContainerSample | undefined): JsonValue {
  return Object.fromEntries(
    BLKIO_KEYS.map((key) => [
      key,
      sample?.blkio[key]?.map(({ major, minor, op, value }) => ({ major, minor, op, value })) ?? null,
    ]),
  );
}

function networksOut(sample: ContainerSample | undefined): { readonly networks?: JsonValue } {
  const entries = Object.entries(sample?.networks ?? {});
  if (entries.length === 0) return {};
  return {
    networks: Object.fromEntries(
      entries.map(([name, counters]) => [
        name,
        {
          rx_bytes: counters.rxBytes,
          rx_packets: counters.rxPackets,
          rx_errors: counters.rxErrors,
          rx_dropped: counters.rxDropped,
          tx_bytes: counters.txBytes,
          tx_packets: counters.txPackets,
          tx_errors: counters.txErrors,
          tx_dropped: counters.txDropped,
        },
      ]),
    ),
  };
}

function nonZero(numbers: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== 0));
}
