/**
 * What the words about a task are made from, and what they are.
 * Pure.
 */
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import type { CauseWord } from "./cause-words.js";

export interface CauseView {
  /** Absent when it is gone. */
  readonly service: Service | undefined;
  /** Every node, in order of id. */
  readonly nodes: readonly Node[];
  readonly node: (id: string) => Node | undefined;
  /** All kept tasks of the task's slot, newest first, itself included. */
  readonly slotTasks: readonly Task[];
  readonly nowMs: number;
}

export interface Sentence {
  /** For programs. */
  readonly cause: CauseWord;
  /** For people: a clause without its subject, "waits for a node: …". */
  readonly text: string;
  /** What a person can do about it; empty: nothing need be done. */
  readonly advice: string;
}

export function sentence(cause: CauseWord, text: string, advice = ""): Sentence {
  return { cause, text, advice };
}

/** @returns the hostname where it is known. */
export function hostOf(node: Node | undefined, nodeId: string): string {
  return node?.description?.hostname || node?.id || nodeId || "a node that is gone";
}

export function serviceNameOf(task: Task): string {
  return task.serviceAnnotations?.name || task.serviceId;
}

/** Its tasks are named by nodes, not by numbers. */
export function isGlobal(service: Service | undefined, task: Task): boolean {
  const mode = service?.spec?.mode?.$case;
  if (mode === undefined) return task.slot === 0 && task.nodeId !== "" && task.jobIteration === 0;
  return mode === "global" || mode === "globalJob";
}

/** "web.2"; of a global service "web.host1". */
export function slotNameOf(task: Task, view: Pick<CauseView, "service" | "node">): string {
  const place = isGlobal(view.service, task)
    ? hostOf(view.node(task.nodeId), task.nodeId)
    : String(task.slot);
  return `${serviceNameOf(task)}.${place}`;
}

/** Names told one by one. */
export const NAMES_MAX = 3;

/**
 * "host1", "host1 and host2", "host1, host2, host3 and 4 more".
 * @param count of all of them; of the names, only the first are looked at.
 */
export function someOf(names: readonly string[], count = names.length): string {
  const shown = names.slice(0, NAMES_MAX);
  const left = count - shown.length;
  if (left > 0) return `${shown.join(", ")} and ${left} more`;
  const last = shown.at(-1) ?? "";
  return shown.length < 2 ? last : `${shown.slice(0, -1).join(", ")} and ${last}`;
}
