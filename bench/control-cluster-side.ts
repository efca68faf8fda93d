/**
 * The other side of the cluster benchmark: follower managers and all agents, in a thread of their own, so
 * that the leader's processor time stands alone. One follower serves real dispatcher sessions to some agents
 * and counts what they are sent; the agents of the other follower are told by its replica alone, because
 * what a session costs a follower is not the question. Edge: to node:worker_threads and timers.
 */
import { EventEmitter } from "node:events";
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../base/clock/system-clock.js";
import { UnavailableError } from "../base/errors/errors.js";
import { silentLogger } from "../base/log/logger.js";
import { SeededRandom } from "../base/random/seeded-random.js";
import { createDispatcher } from "../manager/dispatcher/dispatcher.js";
import { ReportQueue } from "../manager/dispatcher/report-queue.js";
import type { ReportSink } from "../manager/dispatcher/report-sink.js";
import { SessionDigest } from "../manager/dispatcher/session-digest.js";
import { createMemoryStore } from "../manager/store/memory-store.js";
import {
  DispatcherMessage,
  NodeReport,
  ReportReply,
  ReportRequest,
  type TaskStatusUpdate,
} from "../proto/gen/skein/v1/dispatcher.js";
import type { Task } from "../proto/gen/skein/v1/objects.js";
import { TaskState, TaskStatus, taskStateToNumber } from "../proto/gen/skein/v1/types.js";

export interface SideOptions {
  readonly nodes: number;
  /** So many nodes have real sessions. */
  readonly sessions: number;
}

/** From the leader: a committed entry, an answer, an order. */
export type ToSide =
  | { readonly kind: "entry"; readonly index: number; readonly data: Uint8Array }
  | { readonly kind: "reply"; readonly id: number; readonly data?: Uint8Array; readonly error?: string }
  | { readonly kind: "begin" }
  | { readonly kind: "lose"; readonly nodeIds: readonly string[] }
  | { readonly kind: "leader-changed" }
  | { readonly kind: "tell"; readonly id: number };

export type FromSide =
  | { readonly kind: "report"; readonly id: number; readonly data: Uint8Array }
  | { readonly kind: "counts"; readonly id: number; readonly counts: SideCounts };

export interface SideCounts {
  /** Wanted tasks that run on nodes that are there. */
  readonly running: number;
  /** Of these, by image. */
  readonly byImage: Readonly<Record<string, number>>;
  readonly readyNodes: number;
  readonly sentBytes: number;
  readonly sentTasks: number;
}

const options = workerData as SideOptions; // given by control-cluster.ts
const PERIOD_MS = 1_000;
/** A session that ended, as of an agent that was not heard in time, is followed by the next. */
const REDIAL_MS = 100;
const WAY = [TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING] as const;

class Side {
  readonly #waiting = new Map<
    number,
    { resolve: (reply: ReportReply) => void; reject: (error: Error) => void }
  >();
  readonly #store = createMemoryStore({
    proposer: { isLeader: false, propose: () => Promise.reject(new UnavailableError("a follower")) },
    clock: systemClock,
    random: new SeededRandom("side"),
    log: silentLogger,
  });
  readonly #counted = new Map<string, string>();
  readonly #byImage = new Map<string, number>();
  readonly #lost = new Set<string>();
  readonly #changed: (() => void)[] = [];
  #nextId = 1;
  readonly #ready = new Set<string>();
  #pending: { readonly nodeId: string; readonly update: TaskStatusUpdate }[] = [];
  #light: ReportQueue | undefined;
  sentBytes = 0;
  sentTasks = 0;

  take(message: ToSide): void {
    switch (message.kind) {
      case "entry":
        this.#store.apply({ index: message.index, term: 1, data: message.data });
        return;
      case "reply": {
        const waiting = this.#waiting.get(message.id);
        this.#waiting.delete(message.id);
        if (message.data === undefined) waiting?.reject(new UnavailableError(message.error ?? ""));
        else waiting?.resolve(ReportReply.decode(message.data));
        return;
      }
      case "begin":
        this.#begin();
        return;
      case "lose":
        this.#lose(new Set(message.nodeIds));
        return;
      case "leader-changed":
        for (const listener of this.#changed) listener();
        return;
      case "tell":
        say({ kind: "counts", id: message.id, counts: this.#counts() });
    }
  }

  #counts(): SideCounts {
    const byImage = Object.fromEntries(this.#byImage);
    const running = [...this.#byImage.values()].reduce((sum, count) => sum + count, 0);
    const { sentBytes, sentTasks } = this;
    return { running, byImage, readyNodes: this.#ready.size, sentBytes, sentTasks };
  }

  #ask(request: Partial<ReportRequest> & { managerNodeId: string }): Promise<ReportReply> {
    const id = this.#nextId++;
    const data = ReportRequest.encode(ReportRequest.fromPartial(request)).finish();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      say({ kind: "report", id, data });
    });
  }

  #queue(managerNodeId: string): ReportQueue {
    return new ReportQueue({
      clock: systemClock,
      random: new SeededRandom(managerNodeId),
      log: silentLogger,
      deliver: async (reports) => {
        await this.#ask({ managerNodeId, reports });
      },
    });
  }

  #begin(): void {
    const watch = this.#store.watch({
      tables: ["task", "node"],
      wake: () =>
        setImmediate(() => {
          for (const { changes } of watch.take()) {
            for (const change of changes) {
              if (change.table === "task") this.#count(change.id, change.after);
              if (change.table !== "node" || change.after === undefined) continue;
              if (change.after.status?.state === "NODE_STATE_READY") this.#ready.add(change.id);
              else this.#ready.delete(change.id);
            }
          }
        }),
    });
    const ids = this.#store.view((tx) => tx.list("node")).map(({ id }) => id);
    this.#serveSessions(ids.slice(0, options.sessions));
    this.#serveLight(ids.slice(options.sessions));
  }

  #count(id: string, task: Task | undefined): void {
    const runs =
      task?.status?.state === TaskState.RUNNING &&
      task.desiredState === TaskState.RUNNING &&
      !this.#lost.has(task.nodeId);
    const image = runs ? (task.spec?.container?.image ?? "") : undefined;
    const before = this.#counted.get(id);
    if (before === image) return;
    if (before !== undefined) this.#byImage.set(before, (this.#byImage.get(before) ?? 1) - 1);
    if (image === undefined) this.#counted.delete(id);
    else {
      this.#counted.set(id, image);
      this.#byImage.set(image, (this.#byImage.get(image) ?? 0) + 1);
    }
  }

  /** Agents that hear of their tasks from the replica, and whose manager vouches for them. */
  #serveLight(ids: readonly string[]): void {
    const managerNodeId = "m3";
    const queue = this.#queue(managerNodeId);
    this.#light = queue;
    const digest = new SessionDigest();
    const own = new Set(ids);
    for (const id of ids) digest.add(id, "s");
    const vouch = async (full: boolean): Promise<void> => {
      const reports = full
        ? [...own].map((nodeId) =>
            NodeReport.fromPartial({ nodeId, sessionId: "s", alive: true, began: true }),
          )
        : [];
      const word = { epoch: "m3", sessions: digest.count, digest: digest.digest, full };
      const reply = await this.#ask({ managerNodeId, word, reports });
      if (reply.full) await vouch(true);
    };
    const again = (): void => {
      vouch(false).then(undefined, () => undefined);
    };
    setInterval(again, PERIOD_MS);
    this.#changed.push(again, () => queue.leaderChanged());
    again();
    this.#losses.push((lost) => {
      const reports: NodeReport[] = [];
      for (const nodeId of lost) {
        if (!own.delete(nodeId)) continue;
        digest.remove(nodeId, "s");
        reports.push(NodeReport.fromPartial({ nodeId, sessionId: "s", lost: true, silentMs: 3_000 }));
      }
      queue.send(reports).then(undefined, () => undefined);
    });
    const watch = this.#store.watch({
      tables: ["task"],
      wake: () =>
        setImmediate(() => {
          for (const { changes } of watch.take())
            for (const { after } of changes as readonly { readonly after: Task | undefined }[]) {
              if (after !== undefined && own.has(after.nodeId)) this.#answer(after);
            }
          this.#flush();
        }),
    });
  }

  readonly #losses: ((lost: ReadonlySet<string>) => void)[] = [];

  #lose(lost: ReadonlySet<string>): void {
    for (const id of lost) this.#lost.add(id);
    for (const [id] of this.#counted)
      this.#count(
        id,
        this.#store.view((tx) => tx.get("task", id)),
      );
    for (const listener of this.#losses) listener(lost);
  }

  /** One report for each step on the way, as an agent sends them. */
  #answer(task: Task): void {
    const state = nextState(task);
    if (state === undefined) return;
    const status = TaskStatus.fromPartial({
      ...task.status,
      state,
      timestampMs: Date.now(),
      message: "started",
    });
    this.#pending.push({ nodeId: task.nodeId, update: { taskId: task.id, status, gatewayAddress: "" } });
  }

  #flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    const byNode = new Map<string, TaskStatusUpdate[]>();
    for (const { nodeId, update } of pending) {
      const list = byNode.get(nodeId);
      if (list === undefined) byNode.set(nodeId, [update]);
      else list.push(update);
    }
    const reports = [...byNode].map(([nodeId, updates]) =>
      NodeReport.fromPartial({ nodeId, sessionId: "s", alive: true, updates }),
    );
    for (const report of reports) this.#light?.send([report]).then(undefined, () => undefined);
  }

  /** Agents with real sessions at a real dispatcher. */
  #serveSessions(ids: readonly string[]): void {
    const queue = this.#queue("m2");
    const sink: ReportSink = {
      send: (reports) => queue.send(reports),
      vouch: (word, reports) => this.#ask({ managerNodeId: "m2", word, reports }),
      drained: async (drainedRevision) => {
        const reply = await this.#ask({ managerNodeId: "m2", word: undefined, reports: [], drainedRevision });
        return reply.drained ?? false;
      },
      onLeaderChange: (listener) => {
        this.#changed.push(listener, () => queue.leaderChanged());
        return () => undefined;
      },
    };
    const dispatcher = createDispatcher({
      store: this.#store,
      reports: sink,
      managers: { list: () => [], onChange: () => () => undefined },
      trust: () => ({ rootCaPem: "", issuerPublicKeySha256: "" }),
      readBarrier: () => Promise.resolve(),
      clock: systemClock,
      random: new SeededRandom("dispatcher"),
      log: silentLogger,
      identify: (call) => (call as unknown as { readonly nodeId: string }).nodeId, // set below
    });
    const agents = new Map(ids.map((id) => [id, this.#openAgent(id, dispatcher.handlers)]));
    setInterval(() => {
      for (const agent of agents.values()) agent.beat();
    }, PERIOD_MS);
    this.#losses.push((lost) => {
      for (const id of lost) {
        agents.get(id)?.end();
        agents.delete(id);
      }
    });
  }

  #openAgent(nodeId: string, handlers: { readonly session: unknown }): { beat(): void; end(): void } {
    let sequence = 0;
    let pending: TaskStatusUpdate[] = [];
    const hear = (task: Task): void => {
      const state = nextState(task);
      if (state === undefined) return;
      const timestampMs = Date.now();
      const reached = taskStateToNumber(state);
      const told =
        state === TaskState.SHUTDOWN ? [state] : WAY.filter((one) => taskStateToNumber(one) >= reached);
      for (const step of told) {
        const status = TaskStatus.fromPartial({ state: step, timestampMs, message: "started" });
        pending.push({ taskId: task.id, status, gatewayAddress: "" });
      }
    };
    let applied = 0;
    let isOver = false;
    let call = new EventEmitter();
    const tell = (message: unknown): boolean => call.emit("data", { message });
    const beat = (): boolean =>
      tell({ $case: "heartbeat", value: { appliedRevision: applied, sentAtMs: Date.now() } });
    const flush = (): void => {
      if (pending.length === 0) return;
      const updates = pending.splice(0, 1_000);
      sequence += 1;
      tell({ $case: "statuses", value: { sequence, updates } });
      if (pending.length > 0) setImmediate(flush);
    };
    const take = (message: DispatcherMessage): boolean => {
      if (message.message?.$case !== "assignments") return true;
      const { complete, upserts, revision, more, drainWaitMs } = message.message.value;
      const isOfTasks = upserts.some(({ resource }) => resource?.$case === "task");
      if (!complete && isOfTasks) this.sentBytes += DispatcherMessage.encode(message).finish().length;
      for (const { resource } of upserts) {
        if (resource?.$case !== "task") continue;
        this.sentTasks += 1;
        hear(resource.value);
      }
      if (!more) applied = revision;
      if (drainWaitMs !== undefined) setImmediate(beat);
      if (pending.length > 0) setImmediate(flush);
      return true;
    };
    const open = (): void => {
      if (isOver) return;
      let isEnded = false;
      const again = (): void => {
        if (isEnded) return;
        isEnded = true;
        setTimeout(open, REDIAL_MS);
      };
      call = Object.assign(new EventEmitter(), {
        nodeId,
        getPeer: () => "10.0.0.9:1",
        end: again,
        write: take,
      });
      (handlers.session as (call: unknown) => void)(call); // the part of a call that it uses
      call.on("error", again);
      tell({ $case: "hello", value: { description: undefined, appliedRevision: 0, protocolVersion: 1 } });
    };
    open();
    return {
      beat,
      end: () => {
        isOver = true;
        pending = [];
        call.emit("cancelled");
      },
    };
  }
}

/** What a node makes of its task next; undefined: nothing. */
function nextState(task: Task): TaskState | undefined {
  const state = taskStateToNumber(task.status?.state ?? TaskState.NEW);
  if (state < taskStateToNumber(TaskState.ASSIGNED) || state > taskStateToNumber(TaskState.RUNNING))
    return undefined;
  const desired = taskStateToNumber(task.desiredState);
  if (desired >= taskStateToNumber(TaskState.SHUTDOWN)) return TaskState.SHUTDOWN;
  if (desired === taskStateToNumber(TaskState.READY)) return state < desired ? TaskState.READY : undefined;
  return WAY.find((step) => taskStateToNumber(step) > state);
}

function say(message: FromSide): void {
  parentPort?.postMessage(message);
}

const side = new Side();
parentPort?.on("message", (message: ToSide) => side.take(message));
