/**
 * The order of task states, and the questions every control loop asks about a task.
 * Pure. Invariant: a task's observed state never decreases in `stateRank`. Source: design note "control plane".
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState, taskStateToNumber } from "../../proto/gen/skein/v1/types.js";

/** Position of a state on the way of a task: NEW 0 … RUNNING 7 … ORPHANED 13. */
export function stateRank(state: TaskState): number {
  return taskStateToNumber(state);
}

const RUNNING = stateRank(TaskState.RUNNING);
const ASSIGNED = stateRank(TaskState.ASSIGNED);

export function observedState(task: Task): TaskState {
  return task.status?.state ?? TaskState.NEW;
}

/** The task has come to its end, whatever the reason: nothing runs, nothing is held. */
export function isTerminal(task: Task): boolean {
  return stateRank(observedState(task)) > RUNNING;
}

/** The orchestrator wants this task to run, now or after a delay; for jobs: to complete. */
export function isWanted(task: Task): boolean {
  return stateRank(task.desiredState) <= RUNNING || task.desiredState === TaskState.COMPLETE;
}

/** No node was ever told about it: it can vanish without anybody stopping anything. */
export function isUnassigned(task: Task): boolean {
  return stateRank(observedState(task)) < ASSIGNED;
}

export function isRunning(task: Task): boolean {
  return observedState(task) === TaskState.RUNNING;
}

/** It came to its end by itself: not because somebody stopped or lost it. */
export function endedByItself(task: Task): boolean {
  const state = observedState(task);
  return state === TaskState.COMPLETE || state === TaskState.FAILED || state === TaskState.REJECTED;
}

/** Leader's time of the task's creation, ms since the epoch. */
export function createdAtMs(task: Task): number {
  return task.meta?.createdAtMs ?? 0;
}

/** Sorts tasks, newest first; deterministic also within one millisecond. */
export function newestFirst(a: Task, b: Task): number {
  const byTime = createdAtMs(b) - createdAtMs(a);
  if (byTime !== 0) return byTime;
  if (a.replacesTaskId === b.id) return -1;
  if (b.replacesTaskId === a.id) return 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
