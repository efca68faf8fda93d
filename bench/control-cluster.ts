/**
 * Question: what does a cluster cost its leader, task by task and node by node, and how does it grow? One
 * process: the leader's thread (store, control loops, leader reports: real code, consensus of one), and a
 * thread with follower managers and simulated agents (control-cluster-side.ts). Answers per size: time until
 * what was asked for runs, the leader's CPU, memory per task, bytes per assignment, and the leader's CPU at
 * rest. Command: npm run bench -- control-cluster (SIZES: nodes x tasks, e.g. "1000x20000,5000x100000").
 * Machine: any; CPU is that of the leader's thread alone (schedstat).
 * Edge: to node:worker_threads, /proc and timers.
 */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { systemClock } from "../base/clock/system-clock.js";
import { silentLogger } from "../base/log/logger.js";
import { nextTurn } from "../base/loop/process-turn.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import { createLeaderReports, type LeaderReports } from "../manager/dispatcher/leader-reports.js";
import { type ControlLoops, createControlLoops } from "../manager/orchestrator/control-loops.js";
import { createMemoryStore, type MemoryStore } from "../manager/store/memory-store.js";
import { ReportReply, ReportRequest } from "../proto/gen/skein/v1/dispatcher.js";
import { Cluster, Node, Service } from "../proto/gen/skein/v1/objects.js";
import { NodeState } from "../proto/gen/skein/v1/types.js";
import type { FromSide, SideCounts, SideOptions, ToSide } from "./control-cluster-side.js";
import { report, type Sample } from "./report.js";

const SIZES = process.env["SIZES"] ?? "1000x20000,5000x100000";
const SERVICES = 10;
const SESSIONS_MAX = 50;
const LOST_SHARE = 0.1;
const REST_MS = 5_000;
const PATIENCE_MS = 240_000;
const LOOK_MS = 10;
const MEMORY_GOAL_BYTES = 4_096;

interface Measured {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** Of the leader's thread, milliseconds. */
function cpuMs(): number {
  return Number.parseInt(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8"), 10) / 1e6;
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

class ClusterBench {
  readonly #side: Worker;
  readonly #store: MemoryStore;
  readonly #answers = new Map<number, (counts: SideCounts) => void>();
  #reports: LeaderReports;
  #loops: ControlLoops;
  #index = 0;
  #asked = 0;
  #leaders = 0;

  constructor(options: SideOptions) {
    this.#side = new Worker(new URL("./control-cluster-side.js", import.meta.url), { workerData: options });
    this.#side.on("message", (message: FromSide) => this.#take(message));
    const parts = { clock: systemClock, random: new SeededRandom("leader"), log: silentLogger };
    this.#store = createMemoryStore({
      ...parts,
      proposer: {
        isLeader: true,
        propose: async (data) => {
          await nextTurn();
          this.#index += 1;
          this.#store.apply({ index: this.#index, term: 1, data });
          this.#tell({ kind: "entry", index: this.#index, data });
          return { index: this.#index };
        },
      },
    });
    this.#reports = createLeaderReports({ store: this.#store, ...parts });
    this.#loops = createControlLoops({ store: this.#store, ...parts });
  }

  async found(nodes: number): Promise<void> {
    const store = this.#store;
    await store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c", spec: {} })));
    const all = Array.from({ length: nodes }, (_, at) => at);
    await store.batch(all, (tx, at) =>
      tx.create(
        "node",
        Node.fromPartial({
          id: nodeId(at),
          spec: {},
          status: { state: NodeState.UNKNOWN, address: "10.0.0.9" },
          description: {
            hostname: nodeId(at),
            platform: { os: "linux", architecture: "amd64" },
            resources: { nanoCpus: 64e9, memoryBytes: 2 ** 38 },
          },
        }),
      ),
    );
    this.#loops.start();
    await this.#loops.idle();
    this.#tell({ kind: "begin" });
    const isReady = ({ readyNodes }: SideCounts): boolean => readyNodes === nodes;
    await this.measure(() => Promise.resolve(), isReady);
  }

  /** From the change until the agents say that it is so. */
  async measure(change: () => Promise<void>, isDone: (counts: SideCounts) => boolean): Promise<Measured> {
    const [startedMs, startedCpuMs] = [performance.now(), cpuMs()];
    await change();
    for (;;) {
      if (isDone(await this.counts())) break;
      if (performance.now() - startedMs > PATIENCE_MS)
        throw new Error(`not reached: ${JSON.stringify(await this.counts())}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return { wallMs: performance.now() - startedMs, cpuMs: cpuMs() - startedCpuMs };
  }

  /** The leader's CPU, milliseconds per second, when nothing happens. */
  async rest(): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    collect();
    const before = cpuMs();
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    return ((cpuMs() - before) / REST_MS) * 1_000;
  }

  counts(): Promise<SideCounts> {
    const id = ++this.#asked;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#tell({ kind: "tell", id });
    });
  }

  async setServices(change: {
    readonly replicas?: number;
    readonly image?: string;
    readonly count: number;
  }): Promise<void> {
    for (let at = 0; at < change.count; at++) {
      await this.#store.update((tx) => {
        const service = tx.get("service", `s${at}`);
        const image = change.image ?? service?.spec?.task?.container?.image ?? "app:1";
        const before = service?.spec?.mode?.$case === "replicated" ? service.spec.mode.value.replicas : 0;
        const made = Service.fromPartial({
          id: `s${at}`,
          ...service,
          previousSpec: service?.spec,
          specVersion: { index: this.#store.index + 1 },
          spec: {
            annotations: { name: `s${at}` },
            mode: { $case: "replicated", value: { replicas: change.replicas ?? before } },
            task: { container: { image, env: ["A=1", "B=2"] }, restart: { delayMs: 0 } },
            update: { parallelism: 100, monitorMs: 1 },
          },
          updateStatus: undefined,
        });
        if (service === undefined) tx.create("service", made);
        else tx.update("service", { ...service, ...made });
      });
    }
  }

  lose(nodeIds: readonly string[]): Promise<void> {
    this.#tell({ kind: "lose", nodeIds });
    return Promise.resolve();
  }

  /** Another leader takes over this very state: loops and reports begin anew. */
  async changeLeader(): Promise<void> {
    await this.#loops.close();
    this.#reports.close();
    this.#leaders += 1;
    const random = new SeededRandom(`leader ${this.#leaders}`);
    const parts = { store: this.#store, clock: systemClock, random, log: silentLogger };
    this.#reports = createLeaderReports(parts);
    this.#loops = createControlLoops(parts);
    this.#loops.start();
    this.#tell({ kind: "leader-changed" });
    await this.#loops.idle();
  }

  async close(): Promise<void> {
    await this.#loops.close();
    this.#reports.close();
    await this.#side.terminate();
  }

  #take(message: FromSide): void {
    if (message.kind === "counts") {
      this.#answers.get(message.id)?.(message.counts);
      this.#answers.delete(message.id);
      return;
    }
    const { id } = message;
    this.#reports.report(ReportRequest.decode(message.data)).then(
      (reply) => this.#tell({ kind: "reply", id, data: ReportReply.encode(reply).finish() }),
      (error: unknown) => this.#tell({ kind: "reply", id, error: String(error) }),
    );
  }

  #tell(message: ToSide): void {
    this.#side.postMessage(message);
  }
}

const nodeId = (at: number): string => `n${String(at).padStart(5, "0")}`;

async function runSize(nodes: number, tasks: number): Promise<readonly Sample[]> {
  const sessions = Math.min(SESSIONS_MAX, nodes);
  const bench = new ClusterBench({ nodes, sessions });
  const samples: Sample[] = [];
  const size = `${nodes} nodes, ${tasks} tasks`;
  const note = (name: string, unit: string, value: number, goal?: number): void => {
    samples.push({
      name: `${size}: ${name}`,
      unit,
      values: [value],
      ...(goal === undefined ? {} : { goal }),
    });
    console.log(`${size}: ${name}: ${value.toPrecision(4)} ${unit}`);
  };
  const noteWork = (name: string, { wallMs, cpuMs: used }: Measured, changed: number): void => {
    note(name, "ms", wallMs);
    note(`${name}, leader CPU per task`, "us", (used / changed) * 1_000);
  };
  try {
    await bench.found(nodes);
    note("at rest without tasks, leader CPU", "ms/s", await bench.rest());
    const before = heapBytes();
    const each = tasks / SERVICES;
    const create = (): Promise<void> => bench.setServices({ replicas: each, count: SERVICES });
    noteWork("create", await bench.measure(create, ({ running }) => running === tasks), tasks);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    note("memory per task", "B", (heapBytes() - before) / tasks, MEMORY_GOAL_BYTES);
    const sent = await bench.counts();
    note("bytes per assignment", "B", sent.sentBytes / Math.max(1, sent.sentTasks));
    note("at rest with tasks, leader CPU", "ms/s", await bench.rest());
    const more = Math.round(tasks * 1.1);
    const scale = (): Promise<void> => bench.setServices({ replicas: more / SERVICES, count: SERVICES });
    noteWork("scale by 10 %", await bench.measure(scale, ({ running }) => running === more), more - tasks);
    const rolled = more / SERVICES;
    const update = (): Promise<void> => bench.setServices({ image: "app:2", count: 1 });
    const isRolled = ({ running, byImage }: SideCounts): boolean =>
      running === more && byImage["app:2"] === rolled;
    noteWork(`rolling update of ${rolled}`, await bench.measure(update, isRolled), rolled);
    const lostCount = Math.round(nodes * LOST_SHARE);
    const lost = Array.from({ length: lostCount }, (_, at) => nodeId(Math.floor(at / LOST_SHARE)));
    const loss = await bench.measure(
      () => bench.lose(lost),
      ({ running, readyNodes }) => running === more && readyNodes === nodes - lostCount,
    );
    noteWork("10 % of nodes lost, until all runs elsewhere", loss, more * LOST_SHARE);
    note("10 % of nodes lost, leader CPU per lost node", "us", (loss.cpuMs / lostCount) * 1_000);
    const change = await bench.measure(
      () => bench.changeLeader(),
      () => true,
    );
    note("leader change, until nothing is left to do", "ms", change.wallMs);
    note("leader change, leader CPU per task", "us", (change.cpuMs / more) * 1_000);
    note("leader change, leader CPU per node", "us", (change.cpuMs / nodes) * 1_000);
    note("at rest after all, leader CPU", "ms/s", await bench.rest());
  } finally {
    await bench.close();
  }
  return samples;
}

export async function controlClusterSamples(): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  for (const size of SIZES.split(",")) {
    const [nodes = 0, tasks = 0] = size.split("x").map(Number);
    samples.push(...(await runSize(nodes, tasks)));
  }
  return samples;
}

export async function run(): Promise<void> {
  report("control-cluster", await controlClusterSamples());
}
