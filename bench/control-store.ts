/**
 * Question: how many transactions does the store take in memory, and what does a watcher cost?
 * Workload: the real store over a proposer that commits at once; 10 000 nodes. Each transaction updates one
 * node: one after the other, each awaited, and 64 callers at a time. Then one update with 1 000 watchers of the table, each of
 * which wakes and takes its batch.
 * Measured: transactions a second over 100 000; microseconds of a transaction with watchers, less those of one without.
 * Command: npm run bench -- control-store [--rounds N]. Edge: to the process.
 */
import { performance } from "node:perf_hooks";
import { newId } from "../base/random/ids.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import type { MemoryStore } from "../manager/store/memory-store.js";
import { Node, Task } from "../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../proto/gen/skein/v1/types.js";
import { SWARMKIT_RECORDED } from "./control-peers.js";
import { openStore, option } from "./control-store-lab.js";
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
  const store = openStore();
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

async function transactionsPerSecond(filled: Filled, callers: number): Promise<number> {
  let next = 0;
  const call = async (): Promise<void> => {
    while (next < TRANSACTIONS) await touch(filled, next++);
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: callers }, call));
  return TRANSACTIONS / ((performance.now() - startedAt) / 1_000);
}

async function microseconds(filled: Filled, count: number): Promise<number> {
  const startedAt = performance.now();
  for (let at = 0; at < count; at++) await touch(filled, at);
  return ((performance.now() - startedAt) * 1_000) / count;
}

/** What 1 000 watchers add to a transaction: to be told, and to take. */
async function publishMicroseconds(filled: Filled): Promise<number> {
  const { store } = filled;
  const alone = await microseconds(filled, PUBLICATIONS * 10);
  let taken = 0;
  const watches = Array.from({ length: WATCHERS }, () => {
    const watch = store.watch({
      tables: ["node"],
      wake: () => queueMicrotask(() => (taken += watch.take().length)),
    });
    return watch;
  });
  const watched = await microseconds(filled, PUBLICATIONS);
  for (const watch of watches) watch.close();
  if (taken < WATCHERS * (PUBLICATIONS - 1)) throw new Error(`watchers took ${taken} batches only`);
  return watched - alone;
}

/** Tasks in one batch: made, and moved on. */
async function batchedPerSecond(): Promise<number> {
  const random = new SeededRandom(5);
  const store = openStore();
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
  const startedAt = performance.now();
  await store.batch(tasks, (tx, { id }) => {
    const task = tx.get("task", id);
    if (task !== undefined) tx.update("task", { ...task, allocated: true });
  });
  return TRANSACTIONS / ((performance.now() - startedAt) / 1_000);
}

async function several(rounds: number, measure: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let round = 0; round < rounds; round++) values.push(await measure());
  return values;
}

export async function run(): Promise<void> {
  const rounds = option("rounds", 5);
  const filled = await fill();
  const samples: Sample[] = [
    {
      name: "one-update transactions, one after the other",
      unit: "/s",
      better: "higher",
      goal: 100_000,
      inclusive: true,
      peer: SWARMKIT_RECORDED.updateTransactions,
      values: await several(rounds, () => transactionsPerSecond(filled, 1)),
    },
    {
      name: `one-update transactions, ${CALLERS} callers`,
      unit: "/s",
      better: "higher",
      goal: 100_000,
      inclusive: true,
      values: await several(rounds, () => transactionsPerSecond(filled, CALLERS)),
    },
    {
      name: `publishing a transaction to ${WATCHERS} watchers`,
      unit: "us",
      goal: 100,
      inclusive: true,
      peer: SWARMKIT_RECORDED.publishUs,
      values: await several(rounds, () => publishMicroseconds(filled)),
    },
    {
      name: "updates of a batch, 200 a transaction",
      unit: "/s",
      better: "higher",
      values: await several(rounds, batchedPerSecond),
    },
  ];
  console.log("peer: SwarmKit (recorded), in Go, on the machine of the anchors");
  report("control-store", samples);
}
