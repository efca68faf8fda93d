/**
 * What an update says of itself, so that a person can act on it: which task failed where and why, how many
 * may, and what to do next; or what it waits for.
 * Pure. The beginnings are Docker's.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { endOf } from "./cause.js";
import { type PlanBuilder, taskTitle } from "./service-plan.js";
import type { Slot } from "./slot.js";
import { isRunning, isTerminal, isWanted, observedState } from "./task-state.js";

export interface Failure {
  readonly task: Task;
  readonly count: number;
  readonly total: number;
}

export type FailureOutcome = "update paused" | "rolling back" | "rollback paused" | "nothing to roll back to";

const BEGINNINGS: Readonly<Record<FailureOutcome, string>> = {
  "update paused": "update paused",
  "rolling back": "update rolled back",
  "rollback paused": "rollback paused",
  "nothing to roll back to": "update paused",
};

/**
 * "update paused due to failure or early termination of task ID: web.1 on n1: exit code 1 (1 of 3 updated
 * tasks
 * failed, …); …"
 */
export function failureWords(
  plan: PlanBuilder,
  failure: Failure & { readonly outcome: FailureOutcome },
): string {
  const { task, count, total, outcome } = failure;
  const { spec } = plan.service;
  const settings = outcome === "rollback paused" ? spec?.rollback : spec?.update;
  const percent = Math.round((settings?.maxFailureRatio ?? 0) * 100);
  const allowed = percent === 0 ? "none may" : `${percent} % may`;
  return (
    `${BEGINNINGS[outcome]} due to failure or early termination of task ${task.id}: ` +
    `${taskTitle(plan, task)}: ${endOf(task)} (${count} of ${total} updated tasks failed, ${allowed})` +
    whatNext(plan, outcome)
  );
}

function whatNext(plan: PlanBuilder, outcome: FailureOutcome): string {
  const name = plan.service.spec?.annotations?.name || plan.service.id;
  const goOn = `to go on, with or without changes: docker service update ${name}`;
  switch (outcome) {
    case "rolling back":
      return "; going back to the specification before";
    case "update paused":
      return plan.service.previousSpec === undefined
        ? `; ${goOn}`
        : `; ${goOn}; to go back: docker service rollback ${name}`;
    case "rollback paused":
      return `; ${goOn}`;
    case "nothing to roll back to":
      return `; there is no earlier specification to go back to; ${goOn}`;
  }
}

/** "update in progress", with what the first of the tasks it made waits for, when that is a trouble. */
export function progressWords(plan: PlanBuilder, made: ReadonlyMap<Slot, Task>): string {
  for (const task of made.values()) {
    const err = task.status?.err ?? "";
    if (err === "" || !isWanted(task) || isRunning(task) || isTerminal(task)) continue;
    return `update in progress: ${taskTitle(plan, task)} waits (${stateWord(task)}): ${err}`;
  }
  return "update in progress";
}

function stateWord(task: Task): string {
  return observedState(task).replace("TASK_STATE_", "").toLowerCase();
}
