/**
 * A task's account of its own life: the stations it reached, and what it waited for.
 * Pure. Invariants: a station is stamped once, and stations stand in order; at most `WAITS_MAX` waits are
 * kept,
 * the newest last; an open wait has `untilMs` 0, and there is at most one of each cause.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import {
  type TaskPhase,
  type TaskStatus,
  type TaskWait,
  taskPhaseToNumber,
} from "../../proto/gen/skein/v1/types.js";

/** Waits kept on a task; the oldest that is over goes first. */
export const WAITS_MAX = 4;

/** @returns the status with the station stamped; the same status when it was before. */
export function withPhase(status: TaskStatus, phase: TaskPhase, atMs: number): TaskStatus {
  if (status.phases.some((mark) => mark.phase === phase)) return status;
  const rank = taskPhaseToNumber(phase);
  const at = status.phases.findIndex((mark) => taskPhaseToNumber(mark.phase) > rank);
  const phases = [...status.phases];
  phases.splice(at < 0 ? phases.length : at, 0, { phase, atMs });
  return { ...status, phases };
}

/** @returns when the station was reached, ms since the epoch; undefined when it was not. */
export function phaseAtMs(task: Task, phase: TaskPhase): number | undefined {
  return task.status?.phases.find((mark) => mark.phase === phase)?.atMs;
}

export function openWait(task: Task, cause: string): TaskWait | undefined {
  return task.waits.find((wait) => wait.cause === cause && wait.untilMs === 0);
}

/**
 * The task waits for this now. An open wait of the same cause goes on since when it was,
 * with the new words.
 */
export function withWait(
  waits: readonly TaskWait[],
  wait: Pick<TaskWait, "cause" | "message"> & Partial<TaskWait> & { readonly sinceMs: number },
): readonly TaskWait[] {
  const before = waits.find(({ cause, untilMs }) => cause === wait.cause && untilMs === 0);
  const others = waits.filter((other) => other !== before);
  const open = { untilMs: 0, refusals: [], ...wait, sinceMs: before?.sinceMs ?? wait.sinceMs };
  while (others.length >= WAITS_MAX) {
    const over = others.findIndex(({ untilMs }) => untilMs !== 0);
    others.splice(Math.max(0, over), 1);
  }
  return [...others, open];
}

/** @returns the waits with those of these causes over; the same list when none was open. */
export function withWaitsOver(
  waits: readonly TaskWait[],
  options: { readonly causes: readonly string[]; readonly nowMs: number },
): readonly TaskWait[] {
  const isOver = (wait: TaskWait): boolean => wait.untilMs === 0 && options.causes.includes(wait.cause);
  return waits.some(isOver)
    ? waits.map((wait) => (isOver(wait) ? { ...wait, untilMs: options.nowMs } : wait))
    : waits;
}
