/**
 * What the scheduler writes into a task: its node, or why it has none.
 * Pure. Invariant: a task is told the same reason once.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import {
  type GenericResource,
  TaskPhase,
  TaskState,
  type TaskStatus,
} from "../../proto/gen/skein/v1/types.js";
import { withPhase, withWait, withWaitsOver } from "../orchestrator/task-account.js";
import type { Refusal } from "./filter.js";

export const NO_NODE_CAUSE = "no-suitable-node";

export function assignedTask(
  task: Task,
  status: TaskStatus,
  given: { readonly nodeId: string; readonly generic: readonly GenericResource[]; readonly nowMs: number },
): Task {
  const { nodeId, generic, nowMs } = given;
  const { phases } = withPhase(status, TaskPhase.SCHEDULED, nowMs);
  return {
    ...task,
    nodeId,
    assignedGenericResources: generic,
    waits: withWaitsOver(task.waits, { causes: [NO_NODE_CAUSE], nowMs }),
    status: {
      ...status,
      timestampMs: nowMs,
      state: TaskState.ASSIGNED,
      message: "assigned to a node",
      err: "",
      cause: "",
      phases,
    },
  };
}

/** @returns the task itself when it says so already. */
export function waitingTask(task: Task, status: TaskStatus, refusal: Refusal, nowMs: number): Task {
  const { reason, refusals } = refusal;
  if (status.err === reason && status.cause === NO_NODE_CAUSE) return task;
  const wait = { cause: NO_NODE_CAUSE, message: reason, sinceMs: nowMs, refusals };
  return {
    ...task,
    waits: withWait(task.waits, wait),
    status: { ...status, timestampMs: nowMs, message: reason, err: reason, cause: NO_NODE_CAUSE },
  };
}
