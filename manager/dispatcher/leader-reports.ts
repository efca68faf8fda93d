/**
 * The leader's ear: what agents said to any manager becomes stored statuses, descriptions and node states.
 * Pure: the store and the clock are handed in. Lives as long as one leadership.
 * Invariants: `report` resolves only when everything in it is committed or known to be void; a node is DOWN
 * only after silence past the bound; one that leaves is removed. A daemon that stops for a restart says so:
 * its node is DISCONNECTED at once, and has longer to come back.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { NodeReport, ReportRequest, TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";
import type { Store, WriteTx } from "../store/types.js";
import { HEARTBEAT_PERIOD_MS } from "./dispatcher.js";
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
  report(request: ReportRequest): Promise<void>;
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
  readonly #liveness: NodeLiveness;
  readonly #goodbyes = new Map<string, string>();
  #timer: Timer | undefined;
  #closed = false;

  constructor({ store, clock, log }: LeaderReportsComponents) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    const { periodMs, downAfterMs } = this.#bounds();
    this.#liveness = new NodeLiveness({
      nowMs: clock.monotonicMs(),
      downAfterMs,
      graceMs: GRACE_PERIODS * periodMs,
    });
    this.#awaitReturns();
    this.#setTimer();
  }

  async report(request: ReportRequest): Promise<void> {
    const items: Item[] = [];
    for (const report of request.reports) {
      const { nodeId } = report;
      if (this.#hear(report)) items.push({ kind: "node", report });
      for (const update of report.updates) items.push({ kind: "task", nodeId, update });
    }
    if (items.length > 0) await this.#store.batch(items, (tx, item) => this.#apply(tx, item));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** @returns whether the node's object may have to change. */
  #hear(report: NodeReport): boolean {
    const { nodeId, sessionId } = report;
    if (report.goodbye) {
      if (this.#goodbyes.size >= GOODBYES_MAX) {
        const oldest = this.#goodbyes.keys().next().value;
        if (oldest !== undefined) this.#goodbyes.delete(oldest);
      }
      this.#goodbyes.set(nodeId, sessionId);
      if (report.leaving) this.#liveness.forget(nodeId);
      else this.#liveness.heard(nodeId, this.#clock.monotonicMs(), this.#bounds().returnAfterMs);
      return true;
    }
    if (this.#goodbyes.get(nodeId) === sessionId || !report.alive) return false;
    this.#goodbyes.delete(nodeId);
    this.#liveness.heard(nodeId, this.#clock.monotonicMs(), this.#bounds().downAfterMs);
    const node = this.#store.view((view) => view.get("node", nodeId));
    return node !== undefined && withReport(node, report) !== undefined;
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
   * Nodes whose goodbye an earlier leader heard:
   * a daemon restarting beside that leader made the leadership move.
   */
  #awaitReturns(): void {
    const { returnAfterMs } = this.#bounds();
    for (const node of this.#store.view((view) => view.list("node"))) {
      if (node.status?.state === NodeState.DISCONNECTED)
        this.#liveness.heard(node.id, this.#clock.monotonicMs(), returnAfterMs);
    }
  }

  #expected(): readonly string[] {
    return this.#store
      .view((view) => view.list("node"))
      .filter(isExpected)
      .map((node) => node.id);
  }

  /** Looks again when a node may be due, after `atLeastMs` at the soonest. */
  #setTimer(atLeastMs = 1): void {
    if (this.#closed) return;
    const nowMs = this.#clock.monotonicMs();
    const { periodMs } = this.#bounds();
    // Looked at once a period at least, so that a node that became ready meanwhile is not forgotten.
    const nextMs = this.#liveness.nextMs(this.#expected()) ?? nowMs + periodMs;
    const waitMs = Math.max(atLeastMs, Math.min(nextMs - nowMs, periodMs));
    this.#timer = this.#clock.setTimer(waitMs, () => this.#check());
  }

  /** One at a time: until the verdict is stored, the silent nodes would be found again and again. */
  #check(): void {
    const silent = this.#liveness.silent(this.#expected(), this.#clock.monotonicMs());
    if (silent.length === 0) {
      this.#setTimer();
      return;
    }
    const { downAfterMs, returnAfterMs, periodMs } = this.#bounds();
    const words = (node: Node): string =>
      node.status?.state === NodeState.DISCONNECTED
        ? `the node's daemon was stopped and has not come back within ${returnAfterMs} ms`
        : `heartbeat failure: nothing heard for ${downAfterMs} ms`;
    this.#log.warn("nodes are down", { nodes: silent, downAfterMs });
    this.#store
      .batch(silent, (tx, nodeId) => {
        const node: Node | undefined = tx.get("node", nodeId);
        if (node !== undefined && isExpected(node) && this.#stillSilent(nodeId))
          tx.update("node", nodeDown(node, words(node)));
      })
      .then(
        () => this.#setTimer(),
        (error: unknown) => {
          const facts = { nodes: silent, error: messageOf(error) };
          this.#log.warn("nodes not marked down; trying again next period", facts);
          this.#setTimer(periodMs);
        },
      );
  }

  #stillSilent(nodeId: string): boolean {
    return this.#liveness.silent([nodeId], this.#clock.monotonicMs()).length > 0;
  }
}
