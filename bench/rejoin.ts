/**
 * Question: how fast does a manager that missed 100 000 log entries catch up, and what do clients notice?
 * Workload: three managers on loopback. One is killed; the leader writes 100 000 entries of 256 bytes,
 * updates of 20 000 objects; the killed one starts again, while clients write a config every 5 ms.
 * Measured: from the start of its process until it has applied what was committed at that moment (the
 * process's own start included); p99 of the clients' writes from then to there, against p99 of the same
 * writes just before.
 * Five rounds. Command: npm run bench -- rejoin.
 * Edge: to processes.
 */
import { performance } from "node:perf_hooks";
import { credentials } from "@grpc/grpc-js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { ControlClient } from "../proto/gen/skein/v1/control.js";
import { report } from "./report.js";
import { SkeinManagers } from "./skein-managers.js";
import { pause, until } from "./swarm-lab.js";

const ROUNDS = 5;
const MISSED = 100_000;
const OBJECTS = 20_000;
const BYTES = 256;
const EVERY_MS = 5;
const BEFORE_MS = 4_000;
/** So that the percentile stands on some hundred writes when the catching up is quick. */
const WINDOW_MS_MIN = 3_000;

/** Writes every 5 ms until told to stop, none waiting for another. */
class PacedWriter {
  readonly #control: ControlClient;
  readonly #prefix: string;
  readonly #latencies: number[] = [];
  readonly #pending = new Set<Promise<void>>();
  #running = true;
  readonly #done: Promise<void>;

  constructor(control: ControlClient, prefix: string) {
    this.#control = control;
    this.#prefix = prefix;
    this.#done = this.#run();
  }

  async stop(): Promise<number> {
    this.#running = false;
    await this.#done;
    await Promise.all(this.#pending);
    const sorted = this.#latencies.sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
  }

  async #run(): Promise<void> {
    const data = Buffer.alloc(BYTES, 1);
    for (let i = 0; this.#running; i++) {
      const sentAt = performance.now();
      const name = `${this.#prefix}-${i}`;
      const request = { annotations: { name, labels: {} }, data, templateDriver: "" };
      const write: Promise<void> = callUnary(this.#control.createConfig.bind(this.#control), request)
        .then(() => {
          this.#latencies.push(performance.now() - sentAt);
        })
        .finally(() => this.#pending.delete(write));
      this.#pending.add(write);
      await pause(EVERY_MS);
    }
  }
}

interface Outcome {
  readonly caughtUpMs: number;
  readonly p99Before: number;
  readonly p99During: number;
}

async function round(managers: SkeinManagers, number: number): Promise<Outcome> {
  const leader = await managers.leader();
  const victim = (leader + 1) % 3;
  const control = new ControlClient(managers.socketOf(leader), credentials.createInsecure());
  try {
    await managers.kill(victim);
    await managers.children[leader]?.ask({
      kind: "entries",
      entries: MISSED,
      objects: OBJECTS,
      bytes: BYTES,
    });
    const calm = new PacedWriter(control, `calm${number}`);
    await pause(BEFORE_MS);
    const p99Before = await calm.stop();
    const { commitIndex } = await managers.inspect(leader);
    const during = new PacedWriter(control, `during${number}`);
    const startedAt = performance.now();
    await managers.resume(victim);
    await until(
      "the manager to catch up",
      120_000,
      async () => (await managers.inspect(victim)).appliedIndex >= commitIndex,
      20,
    );
    const caughtUpMs = performance.now() - startedAt;
    await pause(Math.max(0, WINDOW_MS_MIN - caughtUpMs));
    return { caughtUpMs, p99Before, p99During: await during.stop() };
  } finally {
    control.close();
  }
}

export async function run(): Promise<void> {
  const managers = await SkeinManagers.open();
  const outcomes: Outcome[] = [];
  try {
    for (let number = 0; number < ROUNDS; number++) {
      const outcome = await round(managers, number);
      outcomes.push(outcome);
      const { caughtUpMs, p99Before, p99During } = outcome;
      console.error(
        `  caught up in ${caughtUpMs.toFixed(0)} ms; p99 of writes ${p99Before.toFixed(1)} ms before, ` +
          `${p99During.toFixed(1)} ms meanwhile`,
      );
    }
  } finally {
    await managers.close();
  }
  report("rejoin", [
    {
      name: "rejoin of a manager that missed 100 000 entries: caught up",
      unit: "s",
      values: outcomes.map(({ caughtUpMs }) => caughtUpMs / 1_000),
      goal: 10,
    },
    {
      name: "other clients' p99 meanwhile, as a multiple of before",
      unit: "x",
      values: outcomes.map(({ p99Before, p99During }) => p99During / p99Before),
      goal: 2,
      inclusive: true,
    },
    { name: "p99 of writes before", unit: "ms", values: outcomes.map(({ p99Before }) => p99Before) },
  ]);
}
