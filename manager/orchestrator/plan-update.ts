/**
 * The update supervisor: rolls a service's slots to its current specification, watches the new tasks,
 * and pauses, goes on or rolls back when too many fail.
 * Pure. Everything it needs is in the store (which tasks an update made, when they came to run),
 * so a new leader goes on where the old one was. Source: Docker's update settings.
 *
 *   (dirty slots) ──► UPDATING ──► COMPLETED                 ROLLBACK_STARTED ──► ROLLBACK_COMPLETED
 *                        │ too many failures                      │ too many failures
 *                        ├─ pause ──► PAUSED                      └──► ROLLBACK_PAUSED
 *                        └─ rollback ──► ROLLBACK_STARTED     a new specification, or any update, starts over
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
import { changeOf, hasCause } from "./cause.js";
import { filterInPortions } from "./portions.js";
import { REJECTED_DELAY_MS, restartOf } from "./restart-policy.js";
import type { PlanBuilder } from "./service-plan.js";
import { isFinished, type Slot, supersededIn } from "./slot.js";
import { isDirty } from "./spec-equality.js";
import { endedByItself, isRunning, isTerminal, isWanted, observedState } from "./task-state.js";
import { type Failure, failureWords, progressWords } from "./update-words.js";

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
  if (slot.clean.length > 0) return false;
  const over = supersededIn(slot);
  if (slot.tasks.some((task) => plan.touched.has(task.id) && isWanted(task) && !over.includes(task)))
    return false;
  if (slot.dirty.length > 0) return true;
  const newest = slot.tasks[0];
  return newest !== undefined && isFinished(slot) && isDirty(newest, plan.service, undefined);
}

export function* planUpdate(plan: PlanBuilder, slots: readonly Slot[]): Generator<void, void> {
  const status = plan.service.updateStatus;
  const state = status?.state ?? UpdateState.NONE;
  if (state === UpdateState.PAUSED || state === UpdateState.ROLLBACK_PAUSED) return;
  yield;
  const dirty = yield* filterInPortions(slots, (slot) => needsUpdate(plan, slot));
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
    yield* replaceSome(plan, dirty, { config, busyCount: 0, rollback: false });
    return;
  }
  yield;
  const made = yield* madeBy(plan, slots);
  const failed = yield* filterInPortions([...made.values()], (task) => failedInTime(plan, task, config));
  const total = dirty.length + made.size;
  const task = failed[0];
  const failure = task && { task, count: failed.length, total };
  const tooMany = failed.length / total > config.maxFailureRatio;
  if (failure !== undefined && tooMany && config.failureAction !== FailureAction.CONTINUE) {
    react(plan, { config, status, rollback, failure });
    return;
  }
  yield;
  const busyCount = yield* countBusy(plan, made, config);
  const due = dirty.filter((slot) => !isTooSoon(plan, made.get(slot)));
  yield* replaceSome(plan, due, { config, busyCount, rollback });
  if (dirty.length === 0 && busyCount === 0) complete(plan, { made, config, status, rollback, failed });
  else if (!rollback) {
    const message = progressWords(plan, made);
    if (message !== status.message) setStatus(plan, { ...status, message });
  }
}

function setStatus(plan: PlanBuilder, status: UpdateStatus): void {
  plan.steps.push({ kind: "updateStatus", ...plan.judged, status });
}

/**
 * The update, or rollback, under way made this task. Told by the specification's version, which each
 * beginning
 * of an update moves, not by time: the clock of a new leader may be behind that of the one that began.
 */
export function isMadeByUpdate(task: Task, service: Service): boolean {
  const kind = service.updateStatus?.state === UpdateState.ROLLBACK_STARTED ? "rollback" : "update";
  return hasCause(task, kind) && (task.specVersion?.index ?? 0) === (service.specVersion?.index ?? 0);
}

/** The newest task this update made in each slot it has come to. */
function* madeBy(plan: PlanBuilder, slots: readonly Slot[]): Generator<void, ReadonlyMap<Slot, Task>> {
  const made = new Map<Slot, Task>();
  for (const [at, slot] of slots.entries()) {
    if (at % PORTION === PORTION - 1) yield;
    const task = slot.tasks.find(
      (candidate) =>
        isMadeByUpdate(candidate, plan.service) &&
        !isDirty(candidate, plan.service, plan.input.node(candidate.nodeId)),
    );
    if (task !== undefined) made.set(slot, task);
  }
  return made;
}

/**
 * An update that goes on past failures tries a slot again as a restart would: after its delay, and what its
 * node rejects not at once.
 */
function isTooSoon(plan: PlanBuilder, task: Task | undefined): boolean {
  if (task === undefined || !endedByItself(task)) return false;
  const { nowMs } = plan.input;
  const runningSinceMs = plan.input.runningSinceMs(task.id);
  const { delayMs } = restartOf(task, { runningSinceMs, nowMs, draw: () => 0.5 });
  const leastMs = observedState(task) === TaskState.REJECTED ? REJECTED_DELAY_MS : 0;
  const dueMs = (task.meta?.updatedAtMs ?? 0) + Math.max(delayMs, leastMs);
  if (nowMs >= dueMs) return false;
  plan.wakeAt(dueMs);
  return true;
}

/** Leader's time at which the task came to run, or to its end. */
function reachedAtMs(plan: PlanBuilder, task: Task): number {
  return plan.input.runningSinceMs(task.id) ?? task.meta?.updatedAtMs ?? 0;
}

/** Slots that are not served by their new task yet, or not for as long as `delay`. */
function* countBusy(
  plan: PlanBuilder,
  made: ReadonlyMap<Slot, Task>,
  config: UpdateConfig,
): Generator<void, number> {
  let count = 0;
  let looked = 0;
  for (const [slot, task] of made) {
    looked += 1;
    if (looked % PORTION === 0) yield;
    const freeAtMs = reachedAtMs(plan, task) + config.delayMs;
    // A successor of one that lost its node: the slot is out of service because of the update no less.
    const moved = slot.clean.find((other) => other !== task && hasCause(other, "node"));
    if (!isRunning(task) && !isTerminal(task) && isWanted(task)) count++;
    else if (moved !== undefined && !isRunning(moved)) count++;
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

function react(
  plan: PlanBuilder,
  options: { config: UpdateConfig; status: UpdateStatus; rollback: boolean; failure: Failure },
): void {
  const { config, status, rollback, failure } = options;
  const mayRollBack = !rollback && config.failureAction === FailureAction.ROLLBACK;
  if (mayRollBack && plan.service.previousSpec !== undefined) {
    const next = {
      state: UpdateState.ROLLBACK_STARTED,
      startedAtMs: plan.input.nowMs,
      completedAtMs: 0,
      message: failureWords(plan, { ...failure, outcome: "rolling back" }),
    };
    plan.steps.push({ kind: "rollback", ...plan.judged, status: next });
    return;
  }
  const outcome = rollback ? "rollback paused" : mayRollBack ? "nothing to roll back to" : "update paused";
  setStatus(plan, {
    ...status,
    state: rollback ? UpdateState.ROLLBACK_PAUSED : UpdateState.PAUSED,
    message: failureWords(plan, { ...failure, outcome }),
  });
}

/** Replaces dirty slots as far as the parallelism allows: what serves nobody first, then in order of slot. */
function* replaceSome(
  plan: PlanBuilder,
  dirty: readonly Slot[],
  options: { config: UpdateConfig; busyCount: number; rollback: boolean },
): Generator<void, void> {
  const { config, busyCount, rollback } = options;
  const room = config.parallelism === 0 ? dirty.length : Math.max(0, config.parallelism - busyCount);
  if (room === 0) return;
  const idle = yield* filterInPortions(dirty, (slot) => !slot.dirty.some(isRunning));
  const serving =
    idle.length < room ? yield* filterInPortions(dirty, (slot) => slot.dirty.some(isRunning)) : [];
  const why = { kind: rollback ? "rollback" : "update", detail: changeOf(plan.service).detail } as const;
  let count = 0;
  for (const slot of [...idle, ...serving].slice(0, room)) {
    replaceSlot(plan, slot, { why, startFirst: config.order === UpdateOrder.START_FIRST });
    count++;
    if (count % PORTION === 0) yield;
  }
}

/** Slots looked at, or replaced, between two chances to pause. */
const PORTION = 64;

function replaceSlot(
  plan: PlanBuilder,
  slot: Slot,
  options: { why: { kind: "update" | "rollback"; detail: string }; startFirst: boolean },
): void {
  const { why, startFirst } = options;
  const nodeId = typeof slot.key === "string" ? slot.key : "";
  const serving = startFirst ? slot.dirty.find(isRunning) : undefined;
  const old = serving ?? slot.dirty[0];
  for (const other of slot.dirty) if (other !== old) plan.stop(other, why);
  if (old === undefined) {
    const number = typeof slot.key === "number" ? slot.key : 0;
    plan.createBeside(slot.tasks, { slot: number, nodeId, replaces: slot.tasks[0], ...why });
  } else if (serving !== undefined) {
    plan.createBeside(slot.tasks, { slot: old.slot, nodeId, replaces: old, ...why });
  } else plan.replace(old, { nodeId, ...why, slotTasks: slot.tasks });
}

function complete(
  plan: PlanBuilder,
  options: {
    made: ReadonlyMap<Slot, Task>;
    config: UpdateConfig;
    status: UpdateStatus;
    rollback: boolean;
    failed: readonly Task[];
  },
): void {
  const { made, config, status, rollback, failed } = options;
  if (config.failureAction !== FailureAction.CONTINUE) {
    const monitorMs = config.monitorMs ?? MONITOR_DEFAULT_MS;
    let doneAtMs = 0;
    for (const task of made.values()) {
      if (isRunning(task)) doneAtMs = Math.max(doneAtMs, reachedAtMs(plan, task) + monitorMs);
    }
    if (plan.input.nowMs < doneAtMs) {
      plan.wakeAt(doneAtMs);
      return;
    }
  }
  const done = rollback ? rollbackDone(status) : "update completed";
  setStatus(plan, {
    ...status,
    state: rollback ? UpdateState.ROLLBACK_COMPLETED : UpdateState.COMPLETED,
    completedAtMs: plan.input.nowMs,
    message: failed.length === 0 ? done : `${done}; ${failed.length} of ${made.size} tasks failed early`,
  });
}

/** Why the service went back stays to be read. */
function rollbackDone(status: UpdateStatus): string {
  return status.message.startsWith("update rolled back")
    ? `rollback completed; ${status.message}`
    : "rollback completed";
}
