/**
 * What a deployment says of a service: what it waits for, why it failed, what the stack goes back to.
 * Pure. Invariant: a failure names the service, the task, the cause and what becomes of the stack.
 */
import type { Node, Task } from "../../../proto/gen/skein/v1/objects.js";
import type { TaskWait } from "../../../proto/gen/skein/v1/types.js";
import { endOf } from "../../orchestrator/cause.js";

/** Characters of a cause that somebody else worded. */
const CAUSE_LENGTH_MAX = 300;

/** "web.2 on host1" */
export function taskWords(task: Task, node: Node | undefined): string {
  const name = task.serviceAnnotations?.name || task.serviceId;
  const title = task.slot === 0 ? name : `${name}.${task.slot}`;
  if (task.nodeId === "") return title;
  return `${title} on ${node?.description?.hostname || task.nodeId}`;
}

/** "web.2 on host1 failed 3 times: exit code 1" */
export function failedWords(task: Task, node: Node | undefined, count: number): string {
  const often = count === 1 ? "" : ` ${count} times`;
  return `task ${taskWords(task, node)} failed${often}: ${short(endOf(task))}`;
}

export function unplacedWords(task: Task, wait: TaskWait): string {
  return `task ${taskWords(task, undefined)} has no place: ${short(wait.message)}`;
}

/** What an update says of its failure, without the advice for services that are on their own. */
export function updateWords(message: string): string {
  const advice = /; (to go on|going back to the specification|there is no earlier specification)/.exec(
    message,
  );
  const cause = advice === null ? message : message.slice(0, advice.index);
  return short(cause.replace(/^rollback completed; /, ""));
}

/** "1 of 3 tasks run" */
export function missingWords(counts: {
  readonly mode: "service" | "job";
  readonly wanted: number;
  readonly served: number;
  readonly completed: number;
}): string {
  const { mode, wanted, served, completed } = counts;
  if (mode === "job") return `${completed} of ${wanted} tasks completed`;
  return served + completed >= wanted
    ? "all tasks run, the update is under way"
    : `${served} of ${wanted} tasks run`;
}

/** @param revision 0: to nothing; undefined: it stays as it is. */
export function outcomeWords(revision: number | undefined): string {
  if (revision === undefined) return "the stack is left as it is";
  return revision === 0
    ? "there is no good revision yet: what was made is removed"
    : `going back to revision ${revision}`;
}

export function short(text: string): string {
  return text.length > CAUSE_LENGTH_MAX ? `${text.slice(0, CAUSE_LENGTH_MAX - 1)}…` : text;
}
