/**
 * Question: how many transactions does the store take in memory, and what does a watcher cost?
 * Workload: the real store over a proposer that commits at once; 10 000 nodes. Each transaction updates one
 * node: one after the other, each awaited, and 64 callers at a time. Then one update with 1 000 watchers of
 * the table, each of which wakes and takes its batch.
 * Measured: transactions a second over 100 000; microseconds of a transaction with watchers, less those of
 * one without. Command: npm run bench -- control-store [--rounds N]. Edge: to the process.
 */
import { performance } from "node:perf_hooks";
import { newId } from "../base/random/ids.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import type { MemoryStore } from "../manager/store/memory-store.js";
import { Node, Task } from "../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../proto/gen/skein/v1/types.js";
import { SWARMKIT_RECORDED } from "./control-peers.js";
import { openStoreLab, option } from "./control-store-lab.js";
import { LoopHold } from "./loop-hold.js";
import { report, type Sample } from "./report.js";

const NODES = 10_000;
const TRANSACTIONS = 100_000;
const CALLERS = 64;
const WATCHERS = 1_000;
const PUBLICATIONS = 2_000;

interface Filled {
  readonly store: MemoryStore;
  readonly ids: readonly string[];
}

async function fill(): Promise<Filled> {
  const random = new SeededRandom(3);
  const store = openStoreLab().store;
  const ids = Array.from({ length: NODES }, () => newId(random));
  await store.batch(ids, (tx, id) =>
    tx.create(
      "node",
      Node.fromPartial({ id, status: { state: NodeState.READY }, description: { hostname: `node-${id}` } }),
    ),
  );
  return { store, ids };
}

async function touch({ store, ids }: Filled, at: number): Promise<void> {
  const id = ids[at % ids.length] ?? "";
  await store.update((tx) => {
    const node = tx.get("node", id);
    if (node !== undefined) tx.update("node", { ...node, number: at + 1 });
  });
}

const thread = new LoopHold();

/** Of a run: how fast by the clock on the wall, and what it cost the thread on a machine that others use, too. */
interface Figures {
  readonly value: number;
  readonly cpuUs: number;
}

async function transactionsPerSecond(filled: Filled, callers: number): Promise<Figures> {
  let next = 0;
  const call = async (): Promise<void> => {
    while (next < TRANSACTIONS) await touch(filled, next++);
  };
  const clock = new Stopwatch();
  await Promise.all(Array.from({ length: callers }, call));
  const { wallUs, cpuUs } = clock.per(TRANSACTIONS);
  return { value: 1e6 / wallUs, cpuUs };
}

async function touchAll(filled: Filled, count: number): Promise<{ wallUs: number; cpuUs: number }> {
  const clock = new Stopwatch();
  for (let at = 0; at < count; at++) await touch(filled, at);
  return clock.per(count);
}

/** What 1 000 watchers add to a transaction: to be told, and to take. */
async function publishMicroseconds(filled: Filled): Promise<Figures> {
  const { store } = filled;
  const alone = await touchAll(filled, PUBLICATIONS * 10);
  let taken = 0;
  const watches = Array.from({ length: WATCHERS }, () => {
    const take = (): void => {
      taken += watch.take().length;
    };
    // as a control loop wakes: at the end of the caller's turn
    const watch = store.watch({ tables: ["node"], wake: () => void Promise.resolve().then(take) });
    return watch;
  });
  const watched = await touchAll(filled, PUBLICATIONS);
  for (const watch of watches) watch.close();
  if (taken < WATCHERS * (PUBLICATIONS - 1)) throw new Error(`watchers took ${taken} batches only`);
  return { value: watched.wallUs - alone.wallUs, cpuUs: watched.cpuUs - alone.cpuUs };
}

/** Tasks in one batch: made, and moved on. */
async function batchedPerSecond(): Promise<Figures> {
  const random = new SeededRandom(5);
  const store = openStoreLab().store;
  const tasks = Array.from({ length: TRANSACTIONS }, (_, at) =>
    Task.fromPartial({
      id: newId(random),
      serviceId: "service",
      slot: at + 1,
      spec: { container: { image: "app" } },
      status: { state: TaskState.NEW },
    }),
  );
  await store.batch(tasks, (tx, task) => tx.create("task", task));
  const clock = new Stopwatch();
  await store.batch(tasks, (tx, { id }) => {
    const task = tx.get("task", id);
    if (task !== undefined) tx.update("task", { ...task, allocated: true });
  });
  const { wallUs, cpuUs } = clock.per(TRANSACTIONS);
  return { value: 1e6 / wallUs, cpuUs };
}

class Stopwatch {
  readonly #wallMs = performance.now();
  readonly #cpuMs = thread.threadCpuMs;

  per(count: number): { wallUs: number; cpuUs: number } {
    return {
      wallUs: ((performance.now() - this.#wallMs) * 1_000) / count,
      cpuUs: ((thread.threadCpuMs - this.#cpuMs) * 1_000) / count,
    };
  }
}

async function several(
  sample: Omit<Sample, "values">,
  rounds: number,
  measure: () => Promise<Figures>,
): Promise<Sample[]> {
  const figures: Figures[] = [];
  for (let round = 0; round < rounds; round++) figures.push(await measure());
  return [
    { ...sample, values: figures.map(({ value }) => value) },
    { name: "  CPU time of the thread", unit: "us", values: figures.map(({ cpuUs }) => cpuUs) },
  ];
}

export async function controlStoreSamples(): Promise<readonly Sample[]> {
  const rounds = option("rounds", 5);
  const filled = await fill();
  const rate = { unit: "/s", better: "higher", goal: 100_000, inclusive: true } as const;
  const { updateTransactions, publishUs } = SWARMKIT_RECORDED;
  const samples = [
    ...(await several(
      { ...rate, name: "one-update transactions, one after the other", peer: updateTransactions },
      rounds,
      () => transactionsPerSecond(filled, 1),
    )),
    ...(await several({ ...rate, name: `one-update transactions, ${CALLERS} callers` }, rounds, () =>
      transactionsPerSecond(filled, CALLERS),
    )),
    ...(await several(
      {
        name: `publishing a transaction to ${WATCHERS} watchers`,
        unit: "us",
        goal: 100,
        inclusive: true,
        peer: publishUs,
      },
      rounds,
      () => publishMicroseconds(filled),
    )),
    ...(await several(
      { name: "updates of a batch, 200 a transaction", unit: "/s", better: "higher" },
      rounds,
      batchedPerSecond,
    )),
  ];
  console.log("peer: SwarmKit (recorded), in Go, on the machine of the anchors");
  return samples;
}

export async function run(): Promise<void> {
  report("control-store", await controlStoreSamples());
}
