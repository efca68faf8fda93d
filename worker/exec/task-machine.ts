/**
 * The life of a task on its node, one step at a time: what to do next,
 * and what the outcome makes of the status.
 * Pure. Invariant: the observed state never goes backwards (asserted); the same input gives the same step,
 * so a restart of the daemon goes on where it stopped.
 *
 *   ASSIGNED > ACCEPTED > PREPARING > READY > STARTING > RUNNING > COMPLETE | FAILED
 *                        prepare     (waits   start     wait
 *                        | REJECTED  for      | FAILED
 *                                    desired RUNNING)
 *   desired SHUTDOWN or REMOVE, from any of these: shutdown > SHUTDOWN (RUNNING and held: first wait)
 */
import { invariant } from "../../base/errors/invariant.js";
import {
  type ContainerStatus,
  type PhaseMark,
  type PortConfig,
  TaskPhase,
  TaskState,
  type TaskStatus,
  taskStateToNumber,
} from "../../proto/gen/skein/v1/types.js";
import type { TaskFailure } from "./controller.js";
import { withStations } from "./task-stations.js";

export interface TaskSituation {
  readonly observed: TaskState;
  readonly desired: TaskState;
  /** The manager still counts the task among this node's. */
  readonly assigned: boolean;
  /** Its container and sandbox have been removed. */
  readonly removed: boolean;
  /** Other nodes may send it connections still: while it runs, it is not stopped. @default false */
  readonly held?: boolean;
}

export type Step =
  | { readonly kind: "report"; readonly state: TaskState; readonly message: string }
  | { readonly kind: "prepare" | "start" | "wait" | "shutdown" | "remove" }
  /** Nothing to do until the assignment changes. */
  | { readonly kind: "rest" }
  /** Nothing is left: forget the task. */
  | { readonly kind: "done" };

/** What the controller's call came to; shutdown and remove are repeated until they succeed. */
export type StepOutcome =
  | { readonly kind: "success" }
  | { readonly kind: "failure"; readonly failure: TaskFailure };

export interface TaskFacts {
  readonly container: ContainerStatus | undefined;
  readonly hostPorts: readonly PortConfig[];
  readonly health: string;
  /** Stations that only the controller sees. */
  readonly stations?: readonly PhaseMark[] | undefined;
}

export function rank(state: TaskState): number {
  return taskStateToNumber(state);
}

export function isTerminal(state: TaskState): boolean {
  return rank(state) > rank(TaskState.RUNNING);
}

export function nextStep({ observed, desired, assigned, removed, held = false }: TaskSituation): Step {
  if (!assigned) {
    if (removed) return { kind: "done" };
    return { kind: isTerminal(observed) ? "remove" : "shutdown" };
  }
  if (isTerminal(observed)) return { kind: "rest" };
  const mayStop = !held || observed !== TaskState.RUNNING;
  if (rank(desired) >= rank(TaskState.SHUTDOWN) && mayStop) return { kind: "shutdown" };
  switch (observed) {
    case TaskState.ACCEPTED:
      return { kind: "report", state: TaskState.PREPARING, message: "preparing" };
    case TaskState.PREPARING:
      return { kind: "prepare" };
    case TaskState.READY:
      if (rank(desired) <= rank(TaskState.READY)) return { kind: "rest" };
      return { kind: "report", state: TaskState.STARTING, message: "starting" };
    case TaskState.STARTING:
      return { kind: "start" };
    case TaskState.RUNNING:
      return { kind: "wait" };
    default:
      return { kind: "report", state: TaskState.ACCEPTED, message: "accepted" };
  }
}

const SUCCESS: Record<
  "prepare" | "start" | "wait" | "shutdown" | "remove",
  { state: TaskState; message: string }
> = {
  prepare: { state: TaskState.READY, message: "prepared" },
  start: { state: TaskState.RUNNING, message: "started" },
  wait: { state: TaskState.COMPLETE, message: "finished" },
  shutdown: { state: TaskState.SHUTDOWN, message: "shutdown" },
  remove: { state: TaskState.REMOVE, message: "removed" },
};

/** @returns the status after a step; `before` itself for steps that change none. */
export function statusAfter(
  before: TaskStatus,
  step: Step,
  options: { outcome: StepOutcome; facts: TaskFacts; nowMs: number },
): TaskStatus {
  const { outcome, facts, nowMs } = options;
  if (step.kind === "rest" || step.kind === "done") return before;
  const success = step.kind === "report" ? step : SUCCESS[step.kind];
  const failed = outcome.kind === "failure";
  const state = failed
    ? rank(before.state) < rank(TaskState.STARTING)
      ? TaskState.REJECTED
      : TaskState.FAILED
    : success.state;
  invariant(rank(state) >= rank(before.state), `task state went back from ${before.state} to ${state}`);
  return {
    timestampMs: Math.max(nowMs, before.timestampMs),
    state,
    message: failed ? (step.kind === "wait" ? "failed" : `${step.kind} failed`) : success.message,
    err: failed ? outcome.failure.message : "",
    cause: failed ? outcome.failure.cause : "",
    container: facts.container ?? before.container,
    hostPorts: isTerminal(state) ? [] : facts.hostPorts.length > 0 ? facts.hostPorts : before.hostPorts,
    health: facts.health,
    phases: withStations(before.phases, [...(facts.stations ?? []), ...reached(state, nowMs)]),
  };
}

/** The stations that a state stands for. */
function reached(state: TaskState, atMs: number): readonly PhaseMark[] {
  if (isTerminal(state)) return [{ phase: TaskPhase.ENDED, atMs }];
  if (state === TaskState.ACCEPTED) return [{ phase: TaskPhase.ACCEPTED, atMs }];
  if (state === TaskState.READY) return [{ phase: TaskPhase.PREPARED, atMs }];
  return state === TaskState.RUNNING ? [{ phase: TaskPhase.HEALTHY, atMs }] : [];
}
