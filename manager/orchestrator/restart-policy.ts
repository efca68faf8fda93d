/**
 * The restart supervisor's rules: whether an ended task gets a successor, and when that one may start.
 * Pure. Attempts are counted from the tasks kept in the store, failures in a row are stored with the task
 * that
 * follows them, so a new leader decides the same; the reaper keeps enough of them.
 * Source: Docker's restart policy of services (condition, delay, max attempts, window); growing delays are
 * ours.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, RestartCondition, TaskPhase, TaskState } from "../../proto/gen/skein/v1/types.js";
import { hasCause } from "./cause.js";
import { phaseAtMs } from "./task-account.js";
import { createdAtMs, isTerminal, isUnassigned, observedState } from "./task-state.js";

export const RESTART_DELAY_DEFAULT_MS = 5_000;
/** A task that ran this long was healthy: its failure is the first in a row again. Milliseconds. */
export const HEALTHY_RUN_MS = 60_000;
/** So many failures in a row wait the plain delay; each further one waits twice as long as the one before. */
export const PLAIN_FAILURES_MAX = 3;
/** No delay grows beyond this, jitter aside. Milliseconds. */
export const GROWN_DELAY_MAX_MS = 5 * 60_000;
/** A grown delay is drawn from this share around it: what broke together shall not come back together. */
export const GROWN_DELAY_JITTER = 0.2;
/** What a delay grows from for a task that its node rejects, even if its user set a smaller one. */
export const REJECTED_DELAY_MS = 1_000;
/**
 * A successor waits for its predecessor to stop at most this long beyond the grace period. Source: SwarmKit.
 */
const OLD_TASK_TIMEOUT_MS = 60_000;
const STOP_GRACE_DEFAULT_MS = 10_000;

export interface Restart {
  /** Failures in a row up to now, for the successor. */
  readonly quickFailures: number;
  /** Milliseconds until the successor may start. */
  readonly delayMs: number;
}

/**
 * @param old the task that ended.
 * @param options.runningSinceMs when the leader first saw it run; undefined when it never did.
 * @param options.draw uniform over [0, 1).
 */
export function restartOf(
  old: Task,
  options: {
    readonly runningSinceMs: number | undefined;
    readonly nowMs: number;
    readonly draw: () => number;
  },
): Restart {
  const state = observedState(old);
  const rejected = state === TaskState.REJECTED;
  const failed = rejected || state === TaskState.FAILED;
  const quick = failed && (ranForMs(old, options) ?? 0) < HEALTHY_RUN_MS;
  const quickFailures = quick ? old.quickFailures + 1 : 0;
  const asked = old.spec?.restart?.delayMs;
  const baseMs = asked ?? RESTART_DELAY_DEFAULT_MS;
  const doublings = quickFailures - PLAIN_FAILURES_MAX;
  if (doublings <= 0 || (asked !== undefined && !rejected)) return { quickFailures, delayMs: baseMs };
  const fromMs = rejected ? Math.max(baseMs, REJECTED_DELAY_MS) : baseMs;
  const grownMs = Math.min(fromMs * 2 ** doublings, Math.max(GROWN_DELAY_MAX_MS, fromMs));
  const jitter = 1 + GROWN_DELAY_JITTER * (2 * options.draw() - 1);
  return { quickFailures, delayMs: Math.max(baseMs, Math.round(grownMs * jitter)) };
}

/** How long it ran: by its node's clock when the node stamped both ends, else by the leader's. */
function ranForMs(
  task: Task,
  { runningSinceMs, nowMs }: { readonly runningSinceMs: number | undefined; readonly nowMs: number },
): number | undefined {
  const startedMs = phaseAtMs(task, TaskPhase.STARTED) ?? phaseAtMs(task, TaskPhase.HEALTHY);
  const endedMs = phaseAtMs(task, TaskPhase.ENDED) ?? task.status?.timestampMs;
  if (startedMs !== undefined && endedMs !== undefined) return endedMs - startedMs;
  return runningSinceMs === undefined ? undefined : nowMs - runningSinceMs;
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

/** @returns when a task with desired state READY may start at the latest, waiting for one that is to stop. */
export function waitLimitMs(task: Task, old: Task): number {
  const graceMs = old.spec?.container?.stopGracePeriodMs ?? STOP_GRACE_DEFAULT_MS;
  const sinceMs = phaseAtMs(old, TaskPhase.STOPPING) ?? createdAtMs(task);
  return sinceMs + OLD_TASK_TIMEOUT_MS + graceMs;
}
