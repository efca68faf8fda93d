/**
 * The update supervisor: rolls a service's slots to its current specification, watches the new tasks,
 * and pauses, goes on or rolls back when too many fail.
 * Pure. Everything it needs is in the store (which tasks an update made, when they came to run),
 * so a new leader goes on where the old one was. Source: Docker's update settings.
 *
 *   (dirty slots) ──► UPDATING ──► COMPLETED                 ROLLBACK_STARTED ──► ROLLBACK_COMPLETED
 *                        │ too many failures                      │ too many failures
 *                        ├─ pause ──► PAUSED                      └──► ROLLBACK_PAUSED
 *                        └─ rollback ──► ROLLBACK_STARTED     a new specification starts over
 */
import type { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  FailureAction,
  RestartCondition,
  TaskState,
  type UpdateConfig,
  UpdateOrder,
  UpdateState,
  type UpdateStatus,
} from "../../proto/gen/skein/v1/types.js";
import { endOf, hasCause } from "./cause.js";
import { mustWaitFor } from "./restart-policy.js";
import type { PlanBuilder } from "./service-plan.js";
import { isFinished, type Slot } from "./slot.js";
import { isDirty } from "./spec-equality.js";
import { isRunning, isTerminal, isWanted, observedState } from "./task-state.js";

export const MONITOR_DEFAULT_MS = 5_000;
const DEFAULT_CONFIG: UpdateConfig = {
  parallelism: 1,
  delayMs: 0,
  failureAction: FailureAction.PAUSE,
  maxFailureRatio: 0,
  order: UpdateOrder.STOP_FIRST,
};

/** Slots whose newest task is not as the service asks, and that no clean task is about to take over. */
function needsUpdate(plan: PlanBuilder, slot: Slot): boolean {
  if (slot.clean.length > 0 || slot.tasks.some((task) => plan.touched.has(task.id) && isWanted(task)))
    return false;
  if (slot.dirty.length > 0) return true;
  const newest = slot.tasks[0];
  return newest !== undefined && isFinished(slot) && isDirty(newest, plan.service, undefined);
}

export function planUpdate(plan: PlanBuilder, slots: readonly Slot[]): void {
  const status = plan.service.updateStatus;
  const state = status?.state ?? UpdateState.NONE;
  if (state === UpdateState.PAUSED || state === UpdateState.ROLLBACK_PAUSED) return;
  const dirty = slots.filter((slot) => needsUpdate(plan, slot));
  const active = state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED;
  if (!active && dirty.length === 0) return;
  const rollback = state === UpdateState.ROLLBACK_STARTED;
  const config = (rollback ? plan.service.spec?.rollback : plan.service.spec?.update) ?? DEFAULT_CONFIG;
  if (!active || status === undefined) {
    const startedAtMs = plan.input.nowMs;
    setStatus(plan, {
      state: UpdateState.UPDATING,
      startedAtMs,
      completedAtMs: 0,
      message: "update in progress",
    });
    replaceSome(plan, dirty, { config, busyCount: 0, rollback });
    return;
  }
  const made = madeBy(plan, slots);
  const failure = tooManyFailures(plan, made, { config, total: dirty.length + made.size });
  if (failure !== undefined) {
    react(plan, { config, status, rollback, failure });
    return;
  }
  const busyCount = countBusy(plan, made, config);
  replaceSome(plan, dirty, { config, busyCount, rollback });
  if (dirty.length === 0 && busyCount === 0) complete(plan, { made, config, status, rollback });
}

function setStatus(plan: PlanBuilder, status: UpdateStatus): void {
  plan.steps.push({ kind: "updateStatus", serviceId: plan.service.id, status });
}

/**
 * The update, or rollback, under way made this task. Told by the specification's version,
 * not by time: the clock of a new leader may be behind that of the one that began.
 */
export function isMadeByUpdate(task: Task, service: Service): boolean {
  const kind = service.updateStatus?.state === UpdateState.ROLLBACK_STARTED ? "rollback" : "update";
  return hasCause(task, kind) && (task.specVersion?.index ?? 0) === (service.specVersion?.index ?? 0);
}

/** The newest task this update made in each slot it has come to. */
function madeBy(plan: PlanBuilder, slots: readonly Slot[]): ReadonlyMap<Slot, Task> {
  const made = new Map<Slot, Task>();
  for (const slot of slots) {
    const task = slot.tasks.find(
      (candidate) =>
        isMadeByUpdate(candidate, plan.service) &&
        !isDirty(candidate, plan.service, plan.input.node(candidate.nodeId)),
    );
    if (task !== undefined) made.set(slot, task);
  }
  return made;
}

/** Leader's time at which the task came to run, or to its end. */
function reachedAtMs(plan: PlanBuilder, task: Task): number {
  return plan.input.runningSinceMs(task.id) ?? task.meta?.updatedAtMs ?? 0;
}

function countBusy(plan: PlanBuilder, made: ReadonlyMap<Slot, Task>, config: UpdateConfig): number {
  let count = 0;
  for (const task of made.values()) {
    const freeAtMs = reachedAtMs(plan, task) + config.delayMs;
    if (!isRunning(task) && !isTerminal(task) && isWanted(task)) count++;
    else if (plan.input.nowMs < freeAtMs) {
      count++;
      plan.wakeAt(freeAtMs);
    }
  }
  return count;
}

function failedInTime(plan: PlanBuilder, task: Task, config: UpdateConfig): boolean {
  const state = observedState(task);
  const again = task.spec?.restart?.condition ?? RestartCondition.ANY;
  const failed =
    state === TaskState.FAILED ||
    state === TaskState.REJECTED ||
    (state === TaskState.COMPLETE && again === RestartCondition.ANY);
  if (!failed) return false;
  const sinceMs = plan.input.runningSinceMs(task.id);
  return (
    sinceMs === undefined ||
    (task.status?.timestampMs ?? 0) - sinceMs <= (config.monitorMs ?? MONITOR_DEFAULT_MS)
  );
}

interface Failure {
  readonly task: Task;
  readonly count: number;
  readonly total: number;
}

function tooManyFailures(
  plan: PlanBuilder,
  made: ReadonlyMap<Slot, Task>,
  options: { config: UpdateConfig; total: number },
): Failure | undefined {
  const { config, total } = options;
  if (config.failureAction === FailureAction.CONTINUE) return undefined;
  const failed = [...made.values()].filter((task) => failedInTime(plan, task, config));
  const task = failed[0];
  if (task === undefined || failed.length / total <= config.maxFailureRatio) return undefined;
  return { task, count: failed.length, total };
}

function react(
  plan: PlanBuilder,
  options: { config: UpdateConfig; status: UpdateStatus; rollback: boolean; failure: Failure },
): void {
  const { config, status, rollback, failure } = options;
  const { task, count, total } = failure;
  const facts = `${count} of ${total} updated tasks failed early, last ${task.id}: ${endOf(task)}`;
  const serviceId = plan.service.id;
  const mayRollBack = !rollback && config.failureAction === FailureAction.ROLLBACK;
  if (mayRollBack && plan.service.previousSpec !== undefined) {
    const next = {
      state: UpdateState.ROLLBACK_STARTED,
      startedAtMs: plan.input.nowMs,
      completedAtMs: 0,
      message: `rolling back: ${facts}`,
    };
    plan.steps.push({ kind: "rollback", serviceId, status: next });
    return;
  }
  const what = rollback ? "rollback paused" : "update paused";
  const why = mayRollBack ? `${facts}; there is no earlier specification to go back to` : facts;
  setStatus(plan, {
    ...status,
    state: rollback ? UpdateState.ROLLBACK_PAUSED : UpdateState.PAUSED,
    message: `${what}: ${why}`,
  });
}

/** Replaces dirty slots as far as the parallelism allows: what serves nobody first, then in order of slot. */
function replaceSome(
  plan: PlanBuilder,
  dirty: readonly Slot[],
  options: { config: UpdateConfig; busyCount: number; rollback: boolean },
): void {
  const { config, busyCount, rollback } = options;
  const room = config.parallelism === 0 ? dirty.length : Math.max(0, config.parallelism - busyCount);
  const idleFirst = [...dirty].sort(
    (a, b) => Number(a.dirty.some(isRunning)) - Number(b.dirty.some(isRunning)),
  );
  const kind = rollback ? "rollback" : "update";
  for (const slot of idleFirst.slice(0, room)) {
    const nodeId = typeof slot.key === "string" ? slot.key : "";
    const [old, ...others] = slot.dirty;
    if (old === undefined) {
      const number = typeof slot.key === "number" ? slot.key : 0;
      plan.create({ slot: number, nodeId, replaces: slot.tasks[0], kind });
    } else if (config.order === UpdateOrder.START_FIRST && mustWaitFor(old, plan.input.node(old.nodeId))) {
      plan.create({ slot: old.slot, nodeId, replaces: old, kind });
    } else {
      for (const other of others) plan.desire(other, TaskState.SHUTDOWN);
      plan.replace(old, { nodeId, kind });
    }
  }
}

function complete(
  plan: PlanBuilder,
  options: { made: ReadonlyMap<Slot, Task>; config: UpdateConfig; status: UpdateStatus; rollback: boolean },
): void {
  const { made, config, status, rollback } = options;
  if (config.failureAction !== FailureAction.CONTINUE) {
    const monitorMs = config.monitorMs ?? MONITOR_DEFAULT_MS;
    const running = [...made.values()].filter(isRunning);
    const doneAtMs = Math.max(0, ...running.map((task) => reachedAtMs(plan, task) + monitorMs));
    if (plan.input.nowMs < doneAtMs) {
      plan.wakeAt(doneAtMs);
      return;
    }
  }
  setStatus(plan, {
    ...status,
    state: rollback ? UpdateState.ROLLBACK_COMPLETED : UpdateState.COMPLETED,
    completedAtMs: plan.input.nowMs,
    message: rollback ? "rollback completed" : "update completed",
  });
}
