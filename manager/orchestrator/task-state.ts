/**
 * The order of task states, and the questions every control loop asks about a task.
 * Pure. Invariant: a task's observed state never decreases in `stateRank`.
 * Source: design note "control plane".
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

/**
 * @returns the tasks, newest first; within one millisecond by the version of their specification, those that
 * are to run before those that are to stop, a successor before its predecessor.
 */
export function newestFirst(tasks: readonly Task[]): readonly Task[] {
  if (tasks.length < 2) return tasks;
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const generation = (task: Task): number => {
    let count = 0;
    const seen = new Set<string>();
    let old = byId.get(task.replacesTaskId);
    while (old !== undefined && !seen.has(old.id)) {
      seen.add(old.id);
      count++;
      old = byId.get(old.replacesTaskId);
    }
    return count;
  };
  return [...tasks].sort(
    (a, b) =>
      createdAtMs(b) - createdAtMs(a) ||
      (b.specVersion?.index ?? 0) - (a.specVersion?.index ?? 0) ||
      Number(isWanted(b)) - Number(isWanted(a)) ||
      generation(b) - generation(a) ||
      (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  );
}
