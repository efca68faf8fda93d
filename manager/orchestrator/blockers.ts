/**
 * Which tasks of a slot must have stopped before one more of it starts.
 * Pure. Invariant: beside the new one nothing of a stop-first service's slot may run, and at most one task
 * of a start-first service's. A task that was told to stop counts until it has: its stop signal may wait for
 * other nodes, and its grace period follows; the next update or drain does not wait for either.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { isWanted } from "./task-state.js";

export interface SlotRules {
  readonly startFirst: boolean;
  /** The task may run still, on a node that can be heard. */
  readonly mayRun: (task: Task) => boolean;
  /** The one that the new task replaces, when that stops for it: it goes first whatever the order. */
  readonly before?: Task | undefined;
}

/**
 * @param others all of the slot that might run beside the new task, newest first.
 * @returns those that have to stop, the ones that were told to before the ones that were not, oldest first.
 */
export function blockersAmong(others: readonly Task[], rules: SlotRules): readonly Task[] {
  const alive = others.filter(rules.mayRun);
  if (!rules.startFirst || alive.length === 0) return alive;
  const { before } = rules;
  // One that is held back itself does not run.
  const able = alive.filter((task) => task.desiredState !== TaskState.READY).reverse();
  const inOrder = [...able.filter((task) => !isWanted(task)), ...able.filter(isWanted)];
  const surplus = inOrder.slice(0, Math.max(0, able.length - 1));
  return before === undefined || !alive.includes(before) || surplus.includes(before)
    ? surplus
    : [...surplus, before];
}
