/**
 * Question: how long does planning one service of many tasks hold the manager's event loop, and what does
 * a change
 * of one task or node cost? The orchestrator alone, on a real store with a proposer that commits in the
 * next turn;
 * agents are make-believe.
 * Command: npm run bench -- control-orchestrator (TASKS, NODES: sizes).
 * Machine: any; figures are the CPU time of the main thread, so neighbours disturb little.
 */
import { systemClock } from "../base/clock/system-clock.js";
import { silentLogger } from "../base/log/logger.js";
import { nextTurn } from "../base/loop/process-turn.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import { createOrchestrator } from "../manager/orchestrator/orchestrator-loop.js";
import type { StoreLoop } from "../manager/orchestrator/store-loop.js";
import { createMemoryStore, type MemoryStore } from "../manager/store/memory-store.js";
import { Cluster, Node, Service, type Task } from "../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState } from "../proto/gen/skein/v1/types.js";
import { createLocalProposer } from "../test/support/local-proposer.js";
import { LoopHold } from "./loop-hold.js";

const TASKS = Number(process.env["TASKS"] ?? 10_000);
const NODES = Number(process.env["NODES"] ?? 100);

interface Stage {
  readonly stage: string;
  /** Of the whole process, garbage collection included. */
  readonly cpuMs: number;
  readonly longestHoldCpuMs: number;
}

class OrchestratorBench {
  readonly store: MemoryStore;
  readonly loop: StoreLoop;
  readonly #hold = new LoopHold();
  readonly #stages: Stage[] = [];

  constructor() {
    const proposer = createLocalProposer({ delay: nextTurn });
    const parts = { clock: systemClock, random: new SeededRandom("bench"), log: silentLogger };
    this.store = createMemoryStore({ ...parts, proposer });
    proposer.attach(this.store);
    this.loop = createOrchestrator({ ...parts, store: this.store });
  }

  /** @param change what happens; measured until the orchestrator has nothing left to do. */
  async measure(name: string, change: () => Promise<void>): Promise<void> {
    this.#hold.take();
    const began = process.cpuUsage();
    await change();
    await this.#settled();
    const held = this.#hold.take();
    const { user, system } = process.cpuUsage(began);
    const stage = { stage: name, cpuMs: round((user + system) / 1_000), longestHoldCpuMs: round(held.cpuMs) };
    this.#stages.push(stage);
    console.log(
      `${name.padEnd(44)} ${String(stage.cpuMs).padStart(9)} ms of CPU, held ${stage.longestHoldCpuMs} ms`,
    );
  }

  report(): void {
    console.log(
      JSON.stringify({ bench: "control-orchestrator", tasks: TASKS, nodes: NODES, stages: this.#stages }),
    );
  }

  async #settled(): Promise<void> {
    let index: number;
    do {
      index = this.store.index;
      await nextTurn();
      await this.loop.idle();
    } while (this.store.index !== index);
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

const tasksOf = (store: MemoryStore): readonly Task[] => store.view((tx) => tx.list("task"));

/** As agents report: all tasks of a portion in one transaction. */
async function setState(store: MemoryStore, ids: readonly string[], state: TaskState): Promise<void> {
  await store.batch(ids, (tx, id) => {
    const task = tx.get("task", id);
    if (task?.status === undefined) return;
    const timestampMs = Date.now();
    tx.update("task", { ...task, status: { ...task.status, state, timestampMs } });
  });
}

export async function run(): Promise<void> {
  const bench = new OrchestratorBench();
  const { store } = bench;
  await store.batch(
    Array.from({ length: NODES }, (_, at) => at),
    (tx, at) =>
      tx.create(
        "node",
        Node.fromPartial({
          id: `n${at}`,
          spec: { availability: NodeAvailability.ACTIVE },
          status: { state: NodeState.READY },
          description: { hostname: `n${at}` },
        }),
      ),
  );
  await store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c", spec: {} })));
  bench.loop.start();
  await bench.loop.idle();
  const spec = {
    annotations: { name: "web" },
    task: { container: { image: "app:1", env: ["A=1", "B=2"] } },
    mode: { $case: "replicated", value: { replicas: TASKS } },
    update: { parallelism: 100 },
  } as const;
  await bench.measure(`create a service of ${TASKS} tasks`, () =>
    store.update((tx) => tx.create("service", Service.fromPartial({ id: "web", spec }))),
  );
  let at = 0;
  await store.batch(tasksOf(store), (tx, { id }) => {
    const task = tx.get("task", id);
    if (task?.status === undefined) return;
    const status = { ...task.status, state: TaskState.RUNNING };
    tx.update("task", { ...task, nodeId: `n${at++ % NODES}`, allocated: true, status });
  });
  await bench.measure("all come to run", async () => undefined);
  const one = tasksOf(store)[0]?.id ?? "";
  await bench.measure("one task fails", () => setState(store, [one], TaskState.FAILED));
  await bench.measure("a node goes down", () => setNode(store, "n1", NodeState.DOWN));
  await bench.measure("a node's address changes", () => setNode(store, "n2", NodeState.READY, "10.0.0.9"));
  await bench.measure("a new leader looks at everything", async () => {
    const fresh = createOrchestrator({
      store,
      clock: systemClock,
      random: new SeededRandom("new"),
      log: silentLogger,
    });
    fresh.start();
    await fresh.idle();
    await fresh.close();
  });
  await bench.measure("an update begins", () =>
    store.update((tx) => {
      const service = tx.get("service", "web");
      if (service?.spec?.task === undefined) return;
      const task = { ...service.spec.task, forceUpdate: 1 };
      const changed = { ...service.spec, task, update: service.spec.update && { ...service.spec.update } };
      tx.update("service", { ...service, spec: changed, specVersion: { index: 0 } });
    }),
  );
  await bench.measure("one updated task comes to run", async () => {
    const fresh = tasksOf(store).find(
      ({ spec: own, status }) => own?.forceUpdate === 1 && status?.state === TaskState.NEW,
    );
    await setState(store, fresh === undefined ? [] : [fresh.id], TaskState.RUNNING);
  });
  await bench.measure("scale to a tenth", () =>
    store.update((tx) => {
      const service = tx.get("service", "web");
      if (service?.spec === undefined) return;
      const mode = { $case: "replicated", value: { replicas: TASKS / 10 } } as const;
      tx.update("service", { ...service, spec: { ...service.spec, mode }, specVersion: { index: 0 } });
    }),
  );
  bench.report();
  await bench.loop.close();
}

async function setNode(store: MemoryStore, id: string, state: NodeState, address = ""): Promise<void> {
  await store.update((tx) => {
    const node = tx.get("node", id);
    if (node !== undefined) tx.update("node", { ...node, status: { message: "", address, state } });
  });
}
