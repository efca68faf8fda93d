/**
 * The restart supervisor's rules: whether an ended task gets a successor, and when that one may start.
 * Pure. Attempts are counted from the tasks kept in the store, so a new leader counts the same;
 * the reaper keeps enough of them. Source: Docker's restart policy of services (condition, delay,
 * max attempts, window).
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, RestartCondition, TaskState } from "../../proto/gen/skein/v1/types.js";
import { hasCause } from "./cause.js";
import { createdAtMs, isTerminal, isUnassigned, observedState } from "./task-state.js";

export const RESTART_DELAY_DEFAULT_MS = 5_000;
/**
 * A successor waits for its predecessor to stop at most this long beyond the grace period. Source: SwarmKit.
 */
const OLD_TASK_TIMEOUT_MS = 60_000;
const STOP_GRACE_DEFAULT_MS = 10_000;

export function restartDelayMs(task: Task): number {
  return task.spec?.restart?.delayMs ?? RESTART_DELAY_DEFAULT_MS;
}

/** When it ended, as its node said; the leader's time of the last change when the node said nothing. */
function endedAtMs(task: Task): number {
  return task.status?.timestampMs || (task.meta?.updatedAtMs ?? 0);
}

/**
 * @param slotTasks all tasks of the slot that are still kept.
 * @returns true when the policy lets the ended, or displaced, task have a successor.
 */
export function mayRestart(task: Task, slotTasks: readonly Task[]): boolean {
  const policy = task.spec?.restart;
  const condition = policy?.condition ?? RestartCondition.ANY;
  if (condition === RestartCondition.NONE) return false;
  if (condition === RestartCondition.ON_FAILURE && observedState(task) === TaskState.COMPLETE) return false;
  if (policy === undefined || policy.maxAttempts === 0 || !isTerminal(task)) return true;
  const sinceMs = policy.windowMs > 0 ? endedAtMs(task) - policy.windowMs : 0;
  const attempts = slotTasks.filter(
    (other) =>
      hasCause(other, "restart") &&
      (other.specVersion?.index ?? 0) === (task.specVersion?.index ?? 0) &&
      createdAtMs(other) >= sinceMs,
  ).length;
  return attempts < policy.maxAttempts;
}

/** @returns true while the task may still run on a node that can be heard. */
export function mustWaitFor(old: Task | undefined, node: Node | undefined): boolean {
  if (old === undefined || isTerminal(old) || isUnassigned(old)) return false;
  return node !== undefined && node.status?.state !== NodeState.DOWN;
}

/** @returns when a task with desired state READY may start at the latest, waiting for its predecessor. */
export function waitLimitMs(task: Task, old: Task): number {
  const graceMs = old.spec?.container?.stopGracePeriodMs ?? STOP_GRACE_DEFAULT_MS;
  return createdAtMs(task) + OLD_TASK_TIMEOUT_MS + graceMs;
}
