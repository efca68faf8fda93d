/**
 * Which services, and which slots of them, must be planned because of what changed or because their time has
 * come.
 * Pure. Invariant: whatever a plan would answer with a step to is due; a change that no plan reads is not.
 * Bounds: one entry per service, and one per slot that something happened to since the last pass.
 */
import type { Cluster, Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import type { ReadTx, StoreChange } from "../store/types.js";
import type { ObservedTimes } from "./observed-times.js";
import type { ServicePlan } from "./service-plan.js";
import { deepEqual } from "./spec-equality.js";
import { isRunning, isTerminal, observedState, stateRank } from "./task-state.js";

/** Changes and objects noted between two chances to pause. */
export const PORTION_CHANGES = 256;

export class DueServices {
  readonly #times: ObservedTimes;
  /** To be planned whole. */
  readonly #whole = new Set<string>();
  /** To be planned in these slots only. */
  readonly #slots = new Map<string, Set<number>>();
  /** When to plan a service again although nothing changed, ms since the epoch. */
  readonly #wakeAtMs = new Map<string, number>();
  /** Services that run on every node. */
  readonly #global = new Set<string>();
  /** Services with a task that waits for any node that could take it. */
  readonly #waiting = new Set<string>();

  constructor(times: ObservedTimes) {
    this.#times = times;
  }

  /** Everything is due; yields between portions. */
  *rebuild(tx: ReadTx): Generator<void, void> {
    for (const set of [this.#whole, this.#slots, this.#wakeAtMs, this.#global, this.#waiting]) set.clear();
    for (const service of tx.list("service")) this.#noteService(service.id, service);
    for (const [at, task] of tx.list("task").entries()) {
      if (task.serviceId !== "") this.#whole.add(task.serviceId);
      if (at % PORTION_CHANGES === 0) yield;
    }
  }

  note(tx: ReadTx, change: StoreChange): void {
    switch (change.table) {
      case "service":
        this.#noteService(change.id, change.after);
        break;
      case "task":
        this.#noteTask(tx, change.before, change.after);
        break;
      case "node":
        this.#noteNode(tx, change.before, change.after);
        break;
      case "cluster":
        if (concernsPlans(change.before, change.after))
          for (const service of tx.list("service")) this.#whole.add(service.id);
        break;
      default:
        break;
    }
  }

  /** What is due now: whole services in order of id, then slots of others. */
  take(nowMs: number): {
    readonly whole: readonly string[];
    readonly slots: ReadonlyMap<string, ReadonlySet<number>>;
  } {
    for (const [serviceId, atMs] of this.#wakeAtMs) if (atMs <= nowMs) this.#whole.add(serviceId);
    const whole = [...this.#whole].sort();
    for (const serviceId of whole) this.#slots.delete(serviceId);
    const slots = new Map([...this.#slots].sort(([a], [b]) => (a < b ? -1 : 1)));
    this.#whole.clear();
    this.#slots.clear();
    return { whole, slots };
  }

  /** @param whole the plan covered the whole service, not some slots of it. */
  planned(serviceId: string, plan: ServicePlan, { whole }: { readonly whole: boolean }): void {
    if (plan.waitsForNodes) this.#waiting.add(serviceId);
    else if (whole) this.#waiting.delete(serviceId);
    if (plan.wakeAtMs !== undefined) {
      const before = whole ? plan.wakeAtMs : (this.#wakeAtMs.get(serviceId) ?? plan.wakeAtMs);
      this.#wakeAtMs.set(serviceId, Math.min(before, plan.wakeAtMs));
    } else if (whole) this.#wakeAtMs.delete(serviceId);
  }

  wakeAt(serviceId: string, atMs: number): void {
    this.#wakeAtMs.set(serviceId, Math.min(this.#wakeAtMs.get(serviceId) ?? atMs, atMs));
  }

  addWhole(serviceId: string): void {
    this.#whole.add(serviceId);
  }

  get nextWakeAtMs(): number | undefined {
    let next: number | undefined;
    for (const atMs of this.#wakeAtMs.values()) if (next === undefined || atMs < next) next = atMs;
    return next;
  }

  #noteService(id: string, service: Service | undefined): void {
    this.#whole.add(id);
    const mode = service?.spec?.mode?.$case;
    if (mode === "global" || mode === "globalJob") this.#global.add(id);
    else this.#global.delete(id);
    if (service !== undefined) return;
    this.#waiting.delete(id);
    this.#wakeAtMs.delete(id);
  }

  #noteTask(tx: ReadTx, before: Task | undefined, after: Task | undefined): void {
    const task = after ?? before;
    if (task === undefined) return;
    if (before !== undefined && after !== undefined && !isNews(before, after)) return;
    this.#addSlot(tx, task);
    const gone = after === undefined || isTerminal(after);
    if (gone && task.nodeId !== "" && this.#times.isDrained(task.nodeId)) this.#addGlobalOn(tx, task.nodeId);
  }

  /** A slot that has lost its last task changes the number of slots. */
  #addSlot(tx: ReadTx, task: Task): void {
    const { serviceId, slot } = task;
    if (serviceId === "" || this.#whole.has(serviceId)) return; // attachments are nobody's slots
    const replicated = tx.get("service", serviceId)?.spec?.mode?.$case === "replicated";
    if (!replicated || tx.list("task", { by: "slot", serviceId, slot }).length === 0) {
      this.#whole.add(serviceId);
      return;
    }
    const slots = this.#slots.get(serviceId);
    if (slots === undefined) this.#slots.set(serviceId, new Set([slot]));
    else slots.add(slot);
  }

  /** Tasks of global services leave a drained node when the others have left. */
  #addGlobalOn(tx: ReadTx, nodeId: string): void {
    for (const id of this.#global) {
      if (tx.list("task", { by: "nodeId", nodeId }).some(({ serviceId }) => serviceId === id))
        this.#whole.add(id);
    }
  }

  /** Services with tasks there; those that run everywhere; those that wait for a node, if it takes tasks. */
  #noteNode(tx: ReadTx, before: Node | undefined, after: Node | undefined): void {
    const node = after ?? before;
    if (node === undefined || (before !== undefined && after !== undefined && isSameForPlans(before, after)))
      return;
    for (const task of tx.list("task", { by: "nodeId", nodeId: node.id })) this.#addSlot(tx, task);
    for (const id of this.#global) this.#whole.add(id);
    const takesTasks =
      after?.status?.state === NodeState.READY &&
      (after.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE;
    if (takesTasks) for (const id of this.#waiting) this.#whole.add(id);
  }
}

/** Plans read these parts of a task; steps between them concern nobody but the task's node. */
function isNews(before: Task, after: Task): boolean {
  return (
    before.desiredState !== after.desiredState ||
    before.nodeId !== after.nodeId ||
    isTerminal(before) !== isTerminal(after) ||
    isRunning(before) !== isRunning(after) ||
    isPrepared(before) !== isPrepared(after) ||
    before.status?.err !== after.status?.err
  );
}

function isPrepared(task: Task): boolean {
  return stateRank(observedState(task)) >= stateRank(TaskState.READY);
}

/** Heartbeats change nodes often; plans read these parts only. */
function isSameForPlans(before: Node, after: Node): boolean {
  return (
    before.status?.state === after.status?.state &&
    before.drainStartedAtMs === after.drainStartedAtMs &&
    before.spec?.availability === after.spec?.availability &&
    before.spec?.drainDeadlineMs === after.spec?.drainDeadlineMs &&
    hasSameAttributes(before, after)
  );
}

/** What constraints ask about. */
function hasSameAttributes(before: Node, after: Node): boolean {
  return (
    before.status?.address === after.status?.address &&
    before.role === after.role &&
    before.description?.hostname === after.description?.hostname &&
    deepEqual(before.spec?.annotations, after.spec?.annotations) &&
    deepEqual(before.description?.platform, after.description?.platform) &&
    deepEqual(before.description?.engineLabels, after.description?.engineLabels)
  );
}

function concernsPlans(before: Cluster | undefined, after: Cluster | undefined): boolean {
  const [old, next] = [before?.spec, after?.spec];
  return (
    old?.taskHistoryRetentionLimit !== next?.taskHistoryRetentionLimit ||
    old?.orphanAfterMs !== next?.orphanAfterMs ||
    old?.drainDeadlineMs !== next?.drainDeadlineMs
  );
}
