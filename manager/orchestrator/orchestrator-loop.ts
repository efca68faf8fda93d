/**
 * The orchestrator: keeps for every service the tasks it should have.
 * One loop for replicated and global services, jobs, restarts, updates, node loss and the reaper, so that one
 * writer decides about a task.
 * Pure (store, clock and randomness are handed in).
 * Invariant: all it remembers beside the store are times it saw, which a new leader replaces by the times in
 * the store.
 */
import type { Clock } from "../../base/clock/clock.js";
import { codeOf, type ErrorCode, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import { newId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";
import type { ReadTx, Store, StoreChange } from "../store/types.js";
import { planService } from "./plan-service.js";
import type { ServicePlan } from "./service-plan.js";
import { deepEqual } from "./spec-equality.js";
import { executeStep, type Step } from "./steps.js";
import { type LoopInput, StoreLoop } from "./store-loop.js";
import { isRunning } from "./task-state.js";

export interface ControlLoopComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What the store answers to a step that contradicts other objects, whoever is right. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  "failed-precondition",
  "invalid-argument",
  "already-exists",
]);
const REFUSED_RETRY_MS = 5_000;
/** Nothing may hold the event loop for more than 20 ms; a service of thousands of tasks is one slice all the same. */
const SLICE_MS = 8;
const HISTORY_LIMIT_DEFAULT = 5;
const ORPHAN_AFTER_DEFAULT_MS = 5 * 60_000;

class Orchestrator {
  readonly #components: ControlLoopComponents;
  readonly #random: Random;
  /** Services to plan in the next pass. */
  readonly #due = new Set<string>();
  /**
   * When to plan a service again although nothing changed, ms since the epoch. One entry per service at most.
   */
  readonly #wakeAtMs = new Map<string, number>();
  /** One entry per node that is down. */
  readonly #downSinceMs = new Map<string, number>();
  /** One entry per running task. */
  readonly #runningSinceMs = new Map<string, number>();

  constructor(components: ControlLoopComponents) {
    this.#components = components;
    this.#random = components.random.child("task-ids");
  }

  async pass(input: LoopInput, signal: AbortSignal): Promise<number | undefined> {
    const { store, clock } = this.#components;
    const nowMs = clock.nowMs();
    store.view((tx) => (input.reset ? this.#rebuild(tx) : this.#note(tx, input.changes, nowMs)));
    for (const [serviceId, atMs] of this.#wakeAtMs) if (atMs <= nowMs) this.#due.add(serviceId);
    const steps: Step[] = [];
    const due = [...this.#due].sort();
    for (let at = this.#planSlice(due, 0, { nowMs, steps }); at < due.length; ) {
      await nextTurn();
      if (signal.aborted) return undefined;
      at = this.#planSlice(due, at, { nowMs, steps });
    }
    this.#due.clear();
    if (steps.length > 0) await this.#execute(steps, signal);
    return this.#wakeAtMs.size === 0 ? undefined : Math.min(...this.#wakeAtMs.values());
  }

  /**
   * All steps together; one by one when the store refuses some,
   * so that one service cannot hold up the others.
   */
  async #execute(steps: readonly Step[], signal: AbortSignal): Promise<void> {
    const { store, log, clock } = this.#components;
    try {
      await store.batch(steps, executeStep, { signal });
      return;
    } catch (error) {
      if (!REFUSALS.has(codeOf(error))) throw error;
    }
    for (const step of steps) {
      try {
        await store.update((tx) => executeStep(tx, step), { signal });
      } catch (error) {
        if (!REFUSALS.has(codeOf(error))) throw error;
        log.warn("the store refused a step of the orchestrator", {
          step: step.kind,
          error: messageOf(error),
        });
        const serviceId =
          "task" in step ? step.task.serviceId : "serviceId" in step ? step.serviceId : undefined;
        if (serviceId !== undefined) this.#wakeAtMs.set(serviceId, clock.nowMs() + REFUSED_RETRY_MS);
      }
    }
  }

  #rebuild(tx: ReadTx): void {
    this.#due.clear();
    this.#wakeAtMs.clear();
    this.#downSinceMs.clear();
    this.#runningSinceMs.clear();
    for (const service of tx.list("service")) this.#due.add(service.id);
    for (const node of tx.list("node")) {
      if (node.status?.state === NodeState.DOWN) this.#downSinceMs.set(node.id, node.meta?.updatedAtMs ?? 0);
    }
    for (const task of tx.list("task")) {
      this.#due.add(task.serviceId);
      if (isRunning(task)) this.#runningSinceMs.set(task.id, task.meta?.updatedAtMs ?? 0);
    }
  }

  #note(tx: ReadTx, changes: readonly StoreChange[], nowMs: number): void {
    for (const change of changes) {
      switch (change.table) {
        case "service":
          this.#due.add(change.id);
          break;
        case "task":
          this.#noteTask(change, nowMs);
          break;
        case "node":
          this.#noteNode(tx, change, nowMs);
          break;
        case "cluster":
          for (const service of tx.list("service")) this.#due.add(service.id);
          break;
        default:
          break;
      }
    }
  }

  #noteTask(change: Extract<StoreChange, { table: "task" }>, nowMs: number): void {
    const { before, after } = change;
    this.#due.add((after ?? before)?.serviceId ?? "");
    if (after === undefined) this.#runningSinceMs.delete(change.id);
    else if (isRunning(after) && !(before !== undefined && isRunning(before))) {
      this.#runningSinceMs.set(change.id, nowMs);
    }
  }

  #noteNode(tx: ReadTx, change: Extract<StoreChange, { table: "node" }>, nowMs: number): void {
    const { before, after } = change;
    if (after?.status?.state !== NodeState.DOWN) this.#downSinceMs.delete(change.id);
    else if (!this.#downSinceMs.has(change.id)) this.#downSinceMs.set(change.id, nowMs);
    if (before !== undefined && after !== undefined && !mattersToServices(before, after)) return;
    for (const task of tx.list("task", { by: "nodeId", nodeId: change.id })) this.#due.add(task.serviceId);
    for (const service of tx.list("service")) this.#due.add(service.id); // it may take what others wait for
  }

  /**
   * Plans services from `at` on until the slice is over. Each is planned on the state of its own moment:
   * a step checks again whether it is still called for.
   * @returns where to go on.
   */
  #planSlice(due: readonly string[], at: number, to: { nowMs: number; steps: Step[] }): number {
    const { store, clock } = this.#components;
    const endMs = clock.monotonicMs() + SLICE_MS;
    let next = at;
    for (const serviceId of due.slice(at)) {
      const plan = store.view((tx) => this.#plan(tx, serviceId, to.nowMs));
      for (const step of plan.steps) to.steps.push(step);
      if (plan.wakeAtMs === undefined) this.#wakeAtMs.delete(serviceId);
      else this.#wakeAtMs.set(serviceId, plan.wakeAtMs);
      next += 1;
      if (clock.monotonicMs() >= endMs) break;
    }
    return next;
  }

  #plan(tx: ReadTx, serviceId: string, nowMs: number): ServicePlan {
    const cluster = tx.list("cluster")[0];
    return planService({
      serviceId,
      service: tx.get("service", serviceId),
      tasks: tx.list("task", { by: "serviceId", serviceId }),
      nodes: tx.list("node"),
      node: (id) => tx.get("node", id),
      nowMs,
      historyLimit: cluster?.spec?.taskHistoryRetentionLimit ?? HISTORY_LIMIT_DEFAULT,
      orphanAfterMs: cluster?.spec?.orphanAfterMs || ORPHAN_AFTER_DEFAULT_MS,
      downSinceMs: (nodeId) => this.#downSinceMs.get(nodeId) ?? nowMs,
      runningSinceMs: (taskId) => this.#runningSinceMs.get(taskId),
      newTaskId: () => newId(this.#random),
    });
  }
}

/** Heartbeats and addresses change nodes often; services care about these parts only. */
function mattersToServices(before: Node, after: Node): boolean {
  return (
    before.status?.state !== after.status?.state ||
    before.status?.address !== after.status?.address ||
    before.role !== after.role ||
    !deepEqual(before.spec, after.spec) ||
    !deepEqual(before.description, after.description)
  );
}

export function createOrchestrator(components: ControlLoopComponents): StoreLoop {
  const orchestrator = new Orchestrator(components);
  return new StoreLoop({
    ...components,
    name: "orchestrator",
    tables: ["service", "task", "node", "cluster"],
    pass: (input, signal) => orchestrator.pass(input, signal),
  });
}
