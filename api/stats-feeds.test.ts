/**
 * One sampler for all who look at a container.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../base/clock/manual-clock.js";
import type { ContainerSample } from "../proto/engine/files.js";
import { statsOut } from "./convert/stats-out.js";
import { StatsFeeds, type StatsReading } from "./stats-feeds.js";

function sampleAt(readMs: number): ContainerSample {
  return {
    readMs,
    cgroupVersion: "2",
    pids: { current: 1, limit: 0 },
    cpu: {
      totalNs: readMs,
      userNs: 0,
      kernelNs: 0,
      perCpuNs: [],
      systemNs: readMs * 10,
      onlineCpus: 2,
      periods: 0,
      throttledPeriods: 0,
      throttledNs: 0,
    },
    memory: { usageBytes: 5, maxUsageBytes: 0, limitBytes: 10, failures: 0, stats: { anon: 3 } },
    blkio: {},
    networks: {},
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a container is sampled once per second however many listen, not at all when nobody does", async () => {
  const clock = new ManualClock();
  let samples = 0;
  const files = { sample: () => Promise.resolve(sampleAt(1000 * ++samples)) };
  const feeds = new StatsFeeds({ files, clock });
  const heard: StatsReading[][] = [[], []];
  const stop = [0, 1].map((index) => feeds.listen("c", (reading) => heard[index]?.push(reading)));
  await settle();
  assert.equal(samples, 1);
  for (let second = 0; second < 3; second++) {
    clock.advance(1_000);
    await settle();
  }
  assert.equal(samples, 4);
  for (const readings of heard) {
    assert.deepEqual(
      readings.map(({ sample, before }) => [before?.readMs, sample?.readMs]),
      [
        [undefined, 1000],
        [1000, 2000],
        [2000, 3000],
        [3000, 4000],
      ],
    );
  }
  for (const end of stop) end();
  assert.equal(feeds.count, 0);
  clock.advance(5_000);
  await settle();
  assert.equal(samples, 4);
});

test("a container that does not run gives Docker's zeros", () => {
  const out = statsOut({ id: "i", name: "n", sample: undefined, before: undefined });
  assert.equal(
    JSON.stringify(out),
    '{"read":"0001-01-01T00:00:00Z","preread":"0001-01-01T00:00:00Z","pids_stats":{},"blkio_stats":' +
      '{"io_service_bytes_recursive":null,"io_serviced_recursive":null,"io_queue_recursive":null,' +
      '"io_service_time_recursive":null,"io_wait_time_recursive":null,"io_merged_recursive":null,' +
      '"io_time_recursive":null,"sectors_recursive":null},"num_procs":0,"storage_stats":{},"cpu_stats":' +
      '{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":' +
      '{"periods":0,"throttled_periods":0,"throttled_time":0}},"precpu_stats":{"cpu_usage":{"total_usage":0,' +
      '"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,' +
      '"throttled_time":0}},"memory_stats":{},"name":"/n","id":"i"}',
  );
});
