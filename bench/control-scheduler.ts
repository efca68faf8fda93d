/**
 * Question: how many tasks a second get a node, with everything that takes in memory?
 * Workload: the shapes of SwarmKit's own benchmark. The real store over a proposer that commits at once (each
 * transaction is encoded, applied, indexed and published as in earnest; nothing is replicated or written to
 * disk), the real scheduler loop on it, and a watcher of tasks.
 *   grouped: all tasks are of one service. one-off: each is of a service of its own.
 *   constraints: one-off, and only a third of the nodes has the label that the tasks ask for.
 *   one service, one-off: all are of one service, and each has a specification of its own.
 *   real tasks: grouped, with image, command, variables, reservations and an address.
 *   running: the scheduler runs and knows the nodes, and the tasks come in one entry; else it starts on a
 * store
 *   that has both, as that of a new leader does, and reads all nodes first.
 * Measured: from the start of the loop, or from the entry, until the watcher has seen the last
 * one assigned; and the longest hold of the event loop meanwhile, by CPU time of its thread. Nothing waits a
 * fixed time, so that nothing is subtracted (SwarmKit's figures hold its 50 ms of waiting once).
 * Command: npm run bench -- control-scheduler [--rounds N] [--only TEXT]. Edge: to the process.
 */
import { performance } from "node:perf_hooks";
import { nextTurn } from "../base/loop/process-turn.js";
import { newId } from "../base/random/ids.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import { createScheduler } from "../manager/scheduler/scheduler-loop.js";
import { Node, Task, Transaction } from "../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../proto/gen/skein/v1/types.js";
import { SWARMKIT_RECORDED } from "./control-peers.js";
import { components, isAsked, openStoreLab, option, watchUntil } from "./control-store-lab.js";
import { LoopHold } from "./loop-hold.js";
import { report, type Sample } from "./report.js";

type Kind = "grouped" | "one-off" | "constraints" | "one service, one-off" | "real tasks";

interface Shape {
  readonly kind: Kind;
  readonly nodes: number;
  readonly tasks: number;
  /** The scheduler runs and knows the nodes; the tasks come in one entry. @default false: it starts on both */
  readonly runs?: boolean;
  readonly goal?: number;
  readonly peer?: number;
}

const { grouped, oneOff, constraints } = SWARMKIT_RECORDED;
const SHAPES: readonly Shape[] = [
  { kind: "grouped", nodes: 1_000, tasks: 1_000, peer: grouped["1k x 1k"] },
  { kind: "grouped", nodes: 1_000, tasks: 10_000, peer: grouped["1k x 10k"] },
  { kind: "grouped", nodes: 1_000, tasks: 100_000, goal: 60_000, peer: grouped["1k x 100k"] },
  { kind: "one-off", nodes: 1_000, tasks: 1_000, peer: oneOff["1k x 1k"] },
  { kind: "one-off", nodes: 1_000, tasks: 10_000, peer: oneOff["1k x 10k"] },
  { kind: "one-off", nodes: 1_000, tasks: 100_000, goal: 20_000, peer: oneOff["1k x 100k"] },
  { kind: "one-off", nodes: 10_000, tasks: 1_000 },
  { kind: "one-off", nodes: 100_000, tasks: 1_000, goal: 10_000, peer: oneOff["100k x 1k"] },
  { kind: "one-off", runs: true, nodes: 1_000, tasks: 1_000 },
  { kind: "one-off", runs: true, nodes: 10_000, tasks: 1_000 },
  { kind: "one-off", runs: true, nodes: 100_000, tasks: 1_000, goal: 10_000 },
  { kind: "constraints", nodes: 1_000, tasks: 1_000, peer: constraints["1k x 1k"] },
  { kind: "constraints", nodes: 1_000, tasks: 10_000, peer: constraints["1k x 10k"] },
  { kind: "constraints", nodes: 1_000, tasks: 100_000, peer: constraints["1k x 100k"] },
  { kind: "one service, one-off", nodes: 1_000, tasks: 100_000, goal: 20_000 },
  { kind: "real tasks", nodes: 1_000, tasks: 100_000 },
];

const LABEL = "disk";

function makeNode(id: string, at: number): Node {
  return Node.fromPartial({
    id,
    status: { state: NodeState.READY },
    spec: { annotations: { labels: at % 3 === 0 ? { [LABEL]: "ssd" } : {} } },
    description: {
      hostname: `node-${at}`,
      platform: { os: "linux", architecture: "amd64" },
      resources: { nanoCpus: 64e9, memoryBytes: 256 * 2 ** 30 },
    },
  });
}

const WAITING = {
  allocated: true,
  desiredState: TaskState.RUNNING,
  status: { state: TaskState.PENDING, message: "pending task scheduling" },
} as const;

function makeTask(id: string, at: number, kind: Kind): Task {
  const isShared = kind === "grouped" || kind === "real tasks" || kind === "one service, one-off";
  const placement = kind === "constraints" ? { constraints: [`node.labels.${LABEL} == ssd`] } : {};
  return Task.fromPartial({
    id,
    ...WAITING,
    serviceId: isShared ? "service" : `service-${at}`,
    slot: isShared ? at + 1 : 1,
    specVersion: { index: kind === "one service, one-off" ? at + 1 : 1 },
    serviceAnnotations: { name: "service" },
    spec: { container: { image: "app" }, placement, ...(kind === "real tasks" ? REAL : {}) },
    ...(kind === "real tasks"
      ? {
          networks: [
            { networkId: "overlay0123456789abcdefgh", addresses: [`10.0.${at >> 8}.${at & 255}/16`] },
          ],
        }
      : {}),
  });
}

const REAL = {
  container: {
    image:
      "registry.example/team/app:1.2.3@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    labels: { "com.example.team": "a", "com.example.tier": "front" },
    args: ["serve", "--listen", ":8080", "--workers", "4"],
    env: Array.from({ length: 8 }, (_, i) => `VARIABLE_${i}=value number ${i}`),
  },
  resources: { reservations: { nanoCpus: 1e8, memoryBytes: 64 * 2 ** 20 } },
};

interface Round {
  readonly tasksPerSecond: number;
  readonly cpuUsPerTask: number;
  readonly holdMs: number;
}

async function measure({ kind, nodes, tasks, runs = false }: Shape, hold: LoopHold): Promise<Round> {
  const random = new SeededRandom(7);
  const { store, commit } = openStoreLab();
  const nodeItems = Array.from({ length: nodes }, (_, at) => makeNode(newId(random), at));
  await store.batch(nodeItems, (tx, node) => tx.create("node", node));
  const taskItems = Array.from({ length: tasks }, (_, at) => makeTask(newId(random), at, kind));
  if (!runs) await store.batch(taskItems, (tx, task) => tx.create("task", task));
  // somebody has listed them before: sorting is no part of scheduling (SwarmKit's tables are sorted as they
  // fill)
  store.view((tx) => [tx.list("node"), tx.list("task")]);
  let left = tasks;
  const done = watchUntil(store, "task", ({ changes }) => {
    for (const { after } of changes)
      if (after !== undefined && "nodeId" in after && after.nodeId !== "") left--;
    return left === 0;
  });
  const scheduler = createScheduler({ ...components, store });
  if (runs) scheduler.start();
  await scheduler.idle();
  const puts = taskItems.map((value) => ({ $case: "task", value }) as const);
  const entry = Transaction.encode({
    proposalId: "",
    proposedAtMs: 0,
    preconditions: [],
    actions: puts.map((object) => ({ action: { $case: "put", value: { object } } })),
  }).finish();
  globalThis.gc?.();
  await nextTurn();
  hold.take();
  const cpuBeforeMs = hold.threadCpuMs;
  const startedAt = performance.now();
  if (runs) commit(entry);
  else scheduler.start();
  await done;
  const seconds = (performance.now() - startedAt) / 1_000;
  const cpuUsPerTask = ((hold.threadCpuMs - cpuBeforeMs) * 1_000) / tasks;
  await nextTurn();
  await new Promise((resolve) => {
    setTimeout(resolve, 3); // the look that ends the last hold
  });
  const holdMs = hold.take().cpuMs;
  await scheduler.idle();
  await scheduler.close();
  return { tasksPerSecond: tasks / seconds, cpuUsPerTask, holdMs };
}

export async function controlSchedulerSamples(): Promise<readonly Sample[]> {
  const rounds = option("rounds", 3);
  const hold = new LoopHold();
  const samples: Sample[] = [];
  for (const shape of SHAPES) {
    const known = shape.runs === true ? ", running" : "";
    const name = `${shape.kind}${known}, ${shape.nodes / 1_000}k nodes x ${shape.tasks / 1_000}k tasks`;
    if (!isAsked(name)) continue;
    const results: Round[] = [];
    for (let round = 0; round < rounds; round++) {
      const result = await measure(shape, hold);
      results.push(result);
      const { tasksPerSecond, cpuUsPerTask, holdMs } = result;
      const figures = `${cpuUsPerTask.toFixed(1)} us of CPU a task, held ${holdMs.toFixed(1)} ms`;
      console.error(`  ${name}: ${Math.round(tasksPerSecond)} tasks/s, ${figures}`);
    }
    samples.push({
      name,
      unit: "tasks/s",
      better: "higher",
      inclusive: true,
      values: results.map(({ tasksPerSecond }) => tasksPerSecond),
      ...(shape.goal === undefined ? {} : { goal: shape.goal }),
      ...(shape.peer === undefined ? {} : { peer: shape.peer }),
    });
    samples.push({
      name: "  CPU time of the thread",
      unit: "us/task",
      values: results.map(({ cpuUsPerTask }) => cpuUsPerTask),
    });
    if (shape.tasks < 100_000 && shape.nodes < 100_000) continue;
    samples.push({
      name: "  longest hold of the event loop",
      unit: "ms",
      pick: "max",
      goal: 20,
      inclusive: true,
      values: results.map(({ holdMs }) => holdMs),
    });
  }
  console.log("peer: SwarmKit (recorded), same shapes, in Go, on the machine of the anchors");
  return samples;
}

export async function run(): Promise<void> {
  report("control-scheduler", await controlSchedulerSamples());
}
