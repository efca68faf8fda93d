/**
 * The reaper: deletes what is only history and too much of it, and what was removed and has ended;
 * declares tasks of lost nodes orphaned after a while, which frees what they hold.
 * Pure. Invariant: the newest task of a slot that had a node stays,
 * so that "ran once and is finished" is not forgotten.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState, UpdateState } from "../../proto/gen/skein/v1/types.js";
import { isMadeByUpdate } from "./plan-update.js";
import type { PlanBuilder, PlanInput } from "./service-plan.js";
import type { Slot } from "./slot.js";
import type { Step } from "./steps.js";
import { isTerminal, isUnassigned, isWanted } from "./task-state.js";

/** Steps for tasks whose node will not speak for them; returns when to look again. */
export function planOrphans(input: PlanInput): { steps: readonly Step[]; wakeAtMs: number | undefined } {
  const steps: Step[] = [];
  let wakeAtMs: number | undefined;
  for (const task of input.tasks) {
    if (isWanted(task) || isTerminal(task) || isUnassigned(task) || task.nodeId === "") continue;
    const node = input.node(task.nodeId);
    if (node !== undefined && node.status?.state !== NodeState.DOWN) continue;
    const dueMs = node === undefined ? 0 : input.downSinceMs(task.nodeId) + input.orphanAfterMs;
    if (input.nowMs < dueMs) {
      wakeAtMs = Math.min(wakeAtMs ?? dueMs, dueMs);
      continue;
    }
    const name = node?.description?.hostname || task.nodeId;
    const message =
      node === undefined
        ? `node ${name} was removed from the cluster`
        : `node ${name} has been down for ${Math.round(input.orphanAfterMs / 1000)} s`;
    steps.push({ kind: "orphan", taskId: task.id, message, nowMs: input.nowMs });
  }
  return { steps, wakeAtMs };
}

/** Tasks that are to vanish and have nothing left to stop. */
export function planRemoved(input: PlanInput): readonly Step[] {
  return input.tasks
    .filter((task) => task.desiredState === TaskState.REMOVE)
    .filter((task) => {
      const nodeGone = task.nodeId !== "" && input.node(task.nodeId) === undefined;
      return isTerminal(task) || isUnassigned(task) || nodeGone;
    })
    .map((task) => ({ kind: "removeTask", taskId: task.id }));
}

/** How many tasks of a slot are kept: enough to count restart attempts again after a change of leader. */
function keepCount(task: Task, historyLimit: number): number {
  const attempts = task.spec?.restart?.maxAttempts ?? 0;
  return attempts > 0 ? Math.max(historyLimit, attempts + 1) : historyLimit;
}

export function planHistory(plan: PlanBuilder, slots: readonly Slot[]): void {
  const { historyLimit } = plan.input;
  const state = plan.service.updateStatus?.state;
  const updating = state === UpdateState.UPDATING || state === UpdateState.ROLLBACK_STARTED;
  for (const slot of slots) {
    const newest = slot.tasks[0];
    if (newest === undefined || slot.tasks.length === 1) continue;
    let excess = historyLimit < 0 ? 0 : slot.tasks.length - Math.max(1, keepCount(newest, historyLimit));
    for (const task of [...slot.tasks].reverse()) {
      if (isWanted(task) || plan.touched.has(task.id)) continue;
      const neverRan = isUnassigned(task);
      if (task === newest && !neverRan) continue;
      if (!neverRan && (excess <= 0 || !isTerminal(task))) continue;
      if (updating && isMadeByUpdate(task, plan.service)) continue; // the update supervisor still counts it
      plan.steps.push({ kind: "removeTask", taskId: task.id });
      excess--;
    }
  }
}
