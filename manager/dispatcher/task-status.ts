/**
 * What a node's word about a task does to the stored task.
 * Pure. Invariants: the observed state never goes backwards, and only the task's own node moves it; a station
 * of its life keeps its first stamp, whoever gave it.
 */
import type { TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { observedState, rank } from "./resource-build.js";
import { mergedPhases } from "./task-phases.js";

/**
 * @returns the task with its new status; undefined when the update says nothing new or is not the node's to
 * give.
 */
export function withReportedStatus(
  task: Task,
  report: { readonly nodeId: string; readonly update: TaskStatusUpdate; readonly nowMs: number },
): Task | undefined {
  const { nodeId, update, nowMs } = report;
  const { status } = update;
  if (status === undefined || task.nodeId !== nodeId) return undefined;
  const before = rank(observedState(task));
  const after = rank(status.state);
  if (after < before) return undefined;
  // A repeated or reordered report of the same state: the later word wins, an older or equal one is dropped.
  if (after === before && status.timestampMs <= (task.status?.timestampMs ?? 0)) return undefined;
  const phases = mergedPhases(task.status?.phases ?? [], status.phases, nowMs);
  return {
    ...task,
    status: { ...status, phases },
    gatewayAddress: update.gatewayAddress || task.gatewayAddress,
  };
}
