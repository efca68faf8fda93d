/**
 * What the placeholders of a task stand for: {{.Service.Name}}, {{.Task.Slot}} and so on. The node fills them in
 * where the task runs, the manager where others must know the outcome: a hostname is a name on the task's networks.
 * Pure. Source: the placeholders `docker service create` documents; the syntax is the small part of Go templates
 * that they use.
 */
import type { Task } from "../gen/skein/v1/objects.js";

export interface NodeFacts {
  readonly id: string;
  readonly hostname: string;
  readonly os: string;
  readonly architecture: string;
}

export interface PlaceholderFacts {
  readonly task: Task;
  /** Its name among containers. */
  readonly taskName: string;
  readonly node: NodeFacts;
}

/** The first group is the expression between the braces. */
export const PLACEHOLDER = /\{\{-?\s*(.*?)\s*-?\}\}/g;

/** @returns undefined for an expression that is none of these. */
export function placeholderValue(
  expression: string,
  { task, taskName, node }: PlaceholderFacts,
): string | undefined {
  const labels = task.serviceAnnotations?.labels ?? {};
  switch (expression) {
    case ".Service.ID":
      return task.serviceId;
    case ".Service.Name":
      return task.serviceAnnotations?.name ?? "";
    case ".Node.ID":
      return node.id;
    case ".Node.Hostname":
      return node.hostname;
    case ".Node.Platform.Architecture":
      return node.architecture;
    case ".Node.Platform.OS":
      return node.os;
    case ".Task.ID":
      return task.id;
    case ".Task.Name":
      return taskName;
    case ".Task.Slot":
      return task.slot > 0 ? String(task.slot) : task.nodeId;
  }
  const dotted = /^\.Service\.Labels\.([\w-]+)$/.exec(expression)?.[1];
  if (dotted !== undefined) return labels[dotted] ?? "";
  const indexed = /^index\s+\.Service\.Labels\s+("[^"]*"|`[^`]*`)$/.exec(expression)?.[1];
  return indexed === undefined ? undefined : (labels[indexed.slice(1, -1)] ?? "");
}
