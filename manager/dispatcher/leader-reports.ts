/**
 * The leader's ear: what agents said to any manager becomes stored statuses, descriptions and node states.
 * Pure: the store and the clock are handed in. Lives as long as one leadership.
 * Invariants: `report` resolves only when everything in it is committed or known to be void; a node is DOWN
 * only after silence past the bound, its own or its manager's; at rest nothing here grows with the number of
 * nodes: managers vouch for theirs with one word a period; one that leaves is removed. A daemon that stops
 * for a restart says so: its node is DISCONNECTED at once, and has longer to come back.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type {
  ManagerWord,
  NodeReport,
  ReportReply,
  ReportRequest,
  TaskStatusUpdate,
} from "../../proto/gen/skein/v1/dispatcher.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";
import type { Store, StoreWatch, WriteTx } from "../store/types.js";
import { HEARTBEAT_PERIOD_MS } from "./dispatcher.js";
import { DrainBarrier } from "./drain-barrier.js";
import { ManagerSessions } from "./manager-sessions.js";
import { NodeLiveness } from "./node-liveness.js";
import { isExpected, nodeDown, withReport } from "./node-status.js";
import { withReportedStatus } from "./task-status.js";

/** Heartbeats that may be missed before a node is down, when the cluster sets no time of its own. */
export const MISSED_HEARTBEATS_MAX = 3;
/**
 * Milliseconds for a daemon that said goodbye to be back, when the cluster sets no time of its own:
 * an upgrade fits.
 */
export const RETURN_AFTER_GOODBYE_MS = 10_000;
/** Periods of extra patience after a leader change. */
export const GRACE_PERIODS = 2;
/** Goodbyes remembered, so that a late word of the same session does not bring the node back. */
export const GOODBYES_MAX = 10_000;

export interface LeaderReportsComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface LeaderReports {
  /** @throws {NotLeaderError} and what the store throws; the sender repeats the whole request. */
  report(request: ReportRequest): Promise<ReportReply>;
  /** To be called when the leadership ends. */
  close(): void;
}

type Item =
  | { readonly kind: "node"; readonly report: NodeReport }
  | { readonly kind: "task"; readonly nodeId: string; readonly update: TaskStatusUpdate };

export function createLeaderReports(components: LeaderReportsComponents): LeaderReports {
  return new StoreLeaderReports(components);
}

class StoreLeaderReports implements LeaderReports {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #sessions = new ManagerSessions();
  readonly #liveness = new NodeLiveness();
  readonly #drains: DrainBarrier;
  readonly #watch: StoreWatch;
  /** Pronounced down, and not committed yet: a word of theirs meanwhile saves them. */
  readonly #condemned = new Set<string>();
  readonly #goodbyes = new Map<string, string>();
  #timer: { readonly atMs: number; readonly timer: Timer } | undefined;
  #isChecking = false;
  #closed = false;

  constructor({ store, clock, log }: LeaderReportsComponents) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#drains = new DrainBarrier({
      clock,
      managers: () => this.#sessions.managerIds(),
      isNodeAstray: () => this.#isNodeAstray(),
    });
    this.#watch = store.watch({ tables: ["node"], wake: () => queueMicrotask(() => this.#lookAtNodes()) });
    this.#expectAll();
    this.#arm();
  }

  async report({ managerNodeId, word, reports, drainedRevision }: ReportRequest): Promise<ReportReply> {
    if (drainedRevision !== undefined)
      return { full: false, drained: await this.#drains.tell(managerNodeId, drainedRevision) };
    const full = word !== undefined && this.#takeWord(managerNodeId, word, reports);
    const items: Item[] = [];
    for (const report of reports) {
      const { nodeId } = report;
      if (this.#hear(managerNodeId, report)) items.push({ kind: "node", report });
      for (const update of report.updates) items.push({ kind: "task", nodeId, update });
    }
    this.#arm();
    this.#drains.check();
    try {
      if (items.length > 0) await this.#store.batch(items, (tx, item) => this.#apply(tx, item));
    } catch (error) {
      this.#sessions.doubt(managerNodeId);
      throw error;
    }
    return { full };
  }

  close(): void {
    this.#closed = true;
    this.#drains.close();
    this.#watch.close();
    this.#timer?.timer.cancel();
  }

  /** @returns whether the manager is to tell all its sessions. */
  #takeWord(managerId: string, word: ManagerWord, reports: readonly NodeReport[]): boolean {
    const nowMs = this.#clock.monotonicMs();
    const dueMs = nowMs + this.#bounds().downAfterMs;
    const told = word.full ? reports.filter(({ began }) => began) : [];
    const { wantsAll, dropped } = this.#sessions.word(managerId, word, { dueMs, told });
    for (const nodeId of dropped) this.#await(nodeId, dueMs);
    return wantsAll;
  }

  /** @returns whether the node's object may have to change. */
  #hear(managerId: string, report: NodeReport): boolean {
    const { nodeId, sessionId } = report;
    const nowMs = this.#clock.monotonicMs();
    if (report.goodbye) {
      // One that was long on its way: the daemon is back, and its new session known.
      if (!report.leaving && this.#sessions.isSucceeded(report)) return false;
      this.#sessions.end(managerId, report);
      this.#keepGoodbye(report);
      if (report.leaving) this.#liveness.drop(nodeId);
      else this.#liveness.await(nodeId, nowMs + this.#bounds().returnAfterMs);
      return true;
    }
    if (report.lost) {
      const wasVouchedFor = this.#sessions.end(managerId, report);
      if (wasVouchedFor) this.#await(nodeId, nowMs + this.#bounds().downAfterMs - report.silentMs);
      return false;
    }
    if (this.#goodbyes.get(nodeId) === sessionId || !report.alive) return false;
    this.#goodbyes.delete(nodeId);
    this.#condemned.delete(nodeId);
    if (report.began) {
      this.#sessions.begin(managerId, report);
      this.#drains.retract(managerId);
    }
    if (this.#sessions.isVouchedFor(nodeId)) this.#liveness.drop(nodeId);
    else this.#liveness.await(nodeId, nowMs + this.#bounds().downAfterMs);
    const node = this.#store.view((view) => view.get("node", nodeId));
    return node !== undefined && withReport(node, report) !== undefined;
  }

  /** A node that is up and has no session may send connections to tasks that are to stop. */
  #isNodeAstray(): boolean {
    return this.#store.view((view) => {
      for (const nodeId of this.#liveness.nodeIds())
        if (view.get("node", nodeId)?.status?.state === NodeState.READY) return true;
      return false;
    });
  }

  #keepGoodbye({ nodeId, sessionId }: NodeReport): void {
    if (this.#goodbyes.size >= GOODBYES_MAX) {
      const oldest = this.#goodbyes.keys().next().value;
      if (oldest !== undefined) this.#goodbyes.delete(oldest);
    }
    this.#goodbyes.set(nodeId, sessionId);
  }

  /** Nobody vouches for the node any more; one that said goodbye has its own time. */
  #await(nodeId: string, atMs: number): void {
    if (!this.#sessions.isVouchedFor(nodeId) && !this.#goodbyes.has(nodeId))
      this.#liveness.await(nodeId, atMs);
  }

  #apply(tx: WriteTx, item: Item): void {
    if (item.kind === "task") {
      const task = tx.get("task", item.update.taskId);
      const report = { nodeId: item.nodeId, update: item.update, nowMs: this.#clock.nowMs() };
      const after = task && withReportedStatus(task, report);
      if (after !== undefined) tx.update("task", after);
      return;
    }
    const { report } = item;
    const node = tx.get("node", report.nodeId);
    if (node === undefined) return;
    if (report.goodbye && report.leaving) {
      // It has stopped its tasks. Where it is a Raft member still, the role manager takes it out.
      tx.remove("node", node.id);
      this.#log.info("a node left the cluster", {
        node: node.id,
        hostname: node.description?.hostname ?? "",
      });
      return;
    }
    const after = withReport(node, report);
    if (after === undefined) return;
    if (after.clockSkewMs !== 0 && after.clockSkewMs !== node.clockSkewMs) {
      const facts = { node: node.id, hostname: after.description?.hostname ?? "", skewMs: after.clockSkewMs };
      this.#log.warn("a node's clock differs from its manager's", facts);
    }
    tx.update("node", after);
  }

  #bounds(): { periodMs: number; downAfterMs: number; returnAfterMs: number } {
    const spec = this.#store.view((view) => view.list("cluster")[0]?.spec);
    const periodMs = spec?.heartbeatPeriodMs || HEARTBEAT_PERIOD_MS;
    const downAfterMs = spec?.nodeDownAfterMs || MISSED_HEARTBEATS_MAX * periodMs;
    const returnAfterMs = spec?.nodeDownAfterMs || Math.max(RETURN_AFTER_GOODBYE_MS, downAfterMs);
    return { periodMs, downAfterMs, returnAfterMs };
  }

  /**
   * A new leader knows of no session: all nodes have time until their managers have told. Those whose
   * goodbye an earlier leader heard have the time of a return: a daemon restarting beside that leader made
   * the leadership move.
   */
  #expectAll(): void {
    const { periodMs, downAfterMs, returnAfterMs } = this.#bounds();
    const nowMs = this.#clock.monotonicMs();
    for (const node of this.#store.view((view) => view.list("node"))) {
      if (!isExpected(node)) continue;
      const isReturning = node.status?.state === NodeState.DISCONNECTED;
      const waitMs = isReturning ? returnAfterMs : downAfterMs + GRACE_PERIODS * periodMs;
      this.#liveness.await(node.id, nowMs + waitMs);
    }
  }

  /** Whoever became ready without a session must be heard, too; whoever is gone is not waited for. */
  #lookAtNodes(): void {
    if (this.#closed) return;
    const { periodMs, downAfterMs } = this.#bounds();
    const atMs = this.#clock.monotonicMs() + downAfterMs + GRACE_PERIODS * periodMs;
    for (const { changes, reset } of this.#watch.take()) {
      if (reset) this.#expectAll();
      for (const change of changes) {
        if (change.table !== "node") continue;
        if (change.after === undefined) this.#liveness.drop(change.id);
        else if (this.#sessions.isVouchedFor(change.id)) this.#repair(change.after);
        else if (isExpected(change.after) && !this.#liveness.has(change.id)) this.#await(change.id, atMs);
      }
    }
    this.#arm();
  }

  /**
   * A verdict that was under way when the node's manager vouched for it is taken back: nobody would repeat
   * that it is alive.
   */
  #repair({ id, status }: Node): void {
    if (status?.state === NodeState.READY || this.#goodbyes.has(id)) return;
    const write = (tx: WriteTx): void => {
      const node = tx.get("node", id);
      if (node?.status === undefined || node.status.state === NodeState.READY) return;
      if (!this.#sessions.isVouchedFor(id)) return;
      tx.update("node", { ...node, status: { ...node.status, state: NodeState.READY, message: "" } });
    };
    this.#store.update(write).catch((error: unknown) => {
      this.#log.warn("a node that is alive is not marked so; trying again", {
        node: id,
        error: messageOf(error),
      });
      if (this.#closed) return;
      this.#clock.setTimer(this.#bounds().periodMs, () => {
        const node = this.#closed ? undefined : this.#store.view((view) => view.get("node", id));
        if (node !== undefined && this.#sessions.isVouchedFor(id)) this.#repair(node);
      });
    });
  }

  /** Looks again when somebody may be due. At rest that is a manager: nodes it vouches for are not looked at. */
  #arm(): void {
    if (this.#closed || this.#isChecking) return;
    const atMs = Math.min(this.#liveness.nextMs ?? Infinity, this.#sessions.nextMs ?? Infinity);
    if (this.#timer !== undefined) {
      if (this.#timer.atMs <= atMs) return; // it looks in time, and arms itself anew
      this.#timer.timer.cancel();
      this.#timer = undefined;
    }
    if (atMs === Infinity) return;
    const waitMs = Math.max(1, atMs - this.#clock.monotonicMs());
    const timer = this.#clock.setTimer(waitMs, () => {
      this.#timer = undefined;
      this.#check();
    });
    this.#timer = { atMs, timer };
  }

  /** One at a time: until the verdict is stored, the silent nodes would be found again and again. */
  #check(): void {
    const nowMs = this.#clock.monotonicMs();
    const { downAfterMs, returnAfterMs, periodMs } = this.#bounds();
    for (const { managerId, nodeIds } of this.#sessions.takeSilent(nowMs)) {
      this.#log.warn("a manager is silent; its nodes must be heard of elsewhere", {
        manager: managerId,
        nodes: nodeIds.length,
      });
      // Its own node is silent as long as it; the agents of others have just begun to look for another
      // manager.
      for (const nodeId of nodeIds) this.#await(nodeId, nodeId === managerId ? nowMs : nowMs + downAfterMs);
    }
    const silent = this.#liveness.takeDue(nowMs);
    this.#drains.check();
    if (silent.length === 0) {
      this.#arm();
      return;
    }
    const words = (node: Node): string =>
      node.status?.state === NodeState.DISCONNECTED
        ? `the node's daemon was stopped and has not come back within ${returnAfterMs} ms`
        : `heartbeat failure: nothing heard for ${downAfterMs} ms`;
    this.#log.warn("nodes are down", { nodes: silent, downAfterMs });
    for (const nodeId of silent) this.#condemned.add(nodeId);
    this.#isChecking = true;
    const done = (): void => {
      this.#isChecking = false;
      for (const nodeId of silent) this.#condemned.delete(nodeId);
      this.#arm();
    };
    this.#store
      .batch(silent, (tx, nodeId) => {
        const node: Node | undefined = tx.get("node", nodeId);
        if (node !== undefined && isExpected(node) && this.#condemned.has(nodeId))
          tx.update("node", nodeDown(node, words(node)));
      })
      .then(done, (error: unknown) => {
        const facts = { nodes: silent, error: messageOf(error) };
        this.#log.warn("nodes not marked down; trying again next period", facts);
        const againMs = this.#clock.monotonicMs() + periodMs;
        for (const nodeId of silent) if (this.#condemned.has(nodeId)) this.#liveness.await(nodeId, againMs);
        done();
      });
  }
}
