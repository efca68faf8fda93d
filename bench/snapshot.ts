/**
 * Question: what does sending and installing a snapshot of 500 MB cost, and does anybody pause for it?
 * Workload: three managers on loopback. One is killed; the leader stores 500 MB, 65 536 objects of 2 KiB and
 * the rest in objects of 256 KiB, so that its log is compacted far beyond what the killed one has; that one
 * starts again, while a client writes every 20 ms.
 * Measured: the longest time in which either event loop did nothing else, by CPU time of its thread (a
 * machine that is busy otherwise adds to the wall time), until the killed one has applied all; the time to
 * get there; the client's slowest write. One round is enough: each has 500 chunks. Command: npm run bench --
 * snapshot. SKEIN_SNAPSHOT_MB for another size. Edge: to processes.
 */
import { performance } from "node:perf_hooks";
import { credentials } from "@grpc/grpc-js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { ControlClient } from "../proto/gen/skein/v1/control.js";
import type { Hold } from "./loop-hold.js";
import { report } from "./report.js";
import { SkeinManagers } from "./skein-managers.js";
import { pause, until } from "./swarm-lab.js";

const MEGABYTES = Number(process.env["SKEIN_SNAPSHOT_MB"] ?? 500);
/** A quarter, at 500 MB: tasks and the like. The rest stands for configs and secrets. */
const SMALL = { objects: 65_536, bytes: 2 * 1024 };
const LARGE_BYTES = 256 * 1024;
const EVERY_MS = 20;
const SAMPLE_MS = 250;

/** Writes until told to stop. @returns the latencies of the writes. */
async function write(managers: SkeinManagers, manager: number, signal: AbortSignal): Promise<number[]> {
  const control = new ControlClient(managers.socketOf(manager), credentials.createInsecure());
  const latencies: number[] = [];
  try {
    for (let i = 0; !signal.aborted; i++) {
      const sentAt = performance.now();
      const annotations = { name: `during-${i}`, labels: {} };
      const request = { annotations, data: Buffer.alloc(256, 1), templateDriver: "" };
      await callUnary(control.createConfig.bind(control), request);
      latencies.push(performance.now() - sentAt);
      await pause(EVERY_MS);
    }
  } finally {
    control.close();
  }
  return latencies;
}

export async function run(): Promise<void> {
  const managers = await SkeinManagers.open();
  try {
    const leader = await managers.leader();
    const victim = (leader + 1) % 3;
    await managers.kill(victim);
    const bytes = MEGABYTES * 2 ** 20;
    const small = Math.min(SMALL.objects, Math.ceil(bytes / 4 / SMALL.bytes));
    const large = Math.ceil((bytes - small * SMALL.bytes) / LARGE_BYTES);
    const filledAt = performance.now();
    await managers.children[leader]?.ask({ kind: "fill", objects: small, bytes: SMALL.bytes });
    await managers.children[leader]?.ask({ kind: "fill", objects: large, bytes: LARGE_BYTES });
    console.error(
      `  stored ${small + large} objects in ${((performance.now() - filledAt) / 1_000).toFixed(1)} s`,
    );
    await pause(15_000); // the state is written, the log compacted, garbage gone
    const { commitIndex, firstIndex } = await managers.inspect(leader);
    const hold = async (manager: number): Promise<Hold> =>
      (await managers.children[manager]?.ask({ kind: "loopHold" })) as Hold; // what it answers
    await hold(leader);
    const stop = new AbortController();
    const writing = write(managers, leader, stop.signal);
    await pause(3_000);
    const calm = await hold(leader);
    const startedAt = performance.now();
    await managers.resume(victim);
    await hold(victim);
    const holds: [Hold, Hold][] = [];
    await until(
      "the manager to catch up",
      600_000,
      async () => {
        await pause(SAMPLE_MS);
        holds.push([await hold(leader), await hold(victim)]);
        return (await managers.inspect(victim)).appliedIndex >= commitIndex;
      },
      20,
    );
    const seconds = (performance.now() - startedAt) / 1_000;
    await pause(2_000);
    holds.push([await hold(leader), await hold(victim)]);
    stop.abort();
    const latencies = (await writing).sort((a, b) => a - b);
    if ((await managers.inspect(leader)).firstIndex < firstIndex) throw new Error("the log grew backwards");
    const worst = (side: 0 | 1): string =>
      holds
        .map((each, i) => [each[side].cpuMs, i] as const)
        .sort(([a], [b]) => b - a)
        .slice(0, 5)
        .map(([ms, i]) => `${ms.toFixed(0)} ms at ${((i * SAMPLE_MS) / 1_000).toFixed(1)} s`)
        .join(", ");
    console.error(`  leader: ${worst(0)}; before ${calm.cpuMs.toFixed(0)} ms`);
    console.error(`  receiver: ${worst(1)}`);
    const longest = (side: 0 | 1, of: keyof Hold): number[] => [
      Math.max(...holds.map((each) => each[side][of])),
    ];
    report("snapshot", [
      {
        name: `${MEGABYTES} MB, leader: longest hold of the event loop, CPU time`,
        unit: "ms",
        values: longest(0, "cpuMs"),
        goal: 20,
      },
      {
        name: `${MEGABYTES} MB, receiver: longest hold of the event loop, CPU time`,
        unit: "ms",
        values: longest(1, "cpuMs"),
        goal: 20,
      },
      { name: "the same by wall time, leader", unit: "ms", values: longest(0, "wallMs") },
      { name: "the same by wall time, receiver", unit: "ms", values: longest(1, "wallMs") },
      { name: `${MEGABYTES} MB: from the receiver's start until it has all`, unit: "s", values: [seconds] },
      {
        name: "a client's writes meanwhile: p99",
        unit: "ms",
        values: [latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN],
      },
      { name: "a client's writes meanwhile: slowest", unit: "ms", values: [latencies.at(-1) ?? Number.NaN] },
    ]);
  } finally {
    await managers.close();
  }
}
