/**
 * Fills in the placeholders of a task: {{.Service.Name}} and so on, in hostname, environment,
 * mounts and templated files.
 * Pure. Invariant: what is not understood is refused by name, never passed on.
 * Source: the placeholders `docker service create` documents; the syntax is the small part of Go templates
 * that they use.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { taskName } from "./task-names.js";

export interface NodeFacts {
  readonly id: string;
  readonly hostname: string;
  readonly os: string;
  readonly architecture: string;
}

/** Functions that templated secrets and configs may call besides. */
export interface TemplateFunctions {
  readonly env?: (name: string) => string;
  readonly secret?: (target: string) => string;
  readonly config?: (target: string) => string;
}

function unquote(text: string): string {
  return text.replace(/^["'`]|["'`]$/g, "");
}

function evaluate(
  expression: string,
  task: Task,
  node: NodeFacts,
  functions: TemplateFunctions,
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
      return taskName(task);
    case ".Task.Slot":
      return task.slot > 0 ? String(task.slot) : task.nodeId;
  }
  const dotted = /^\.Service\.Labels\.([\w-]+)$/.exec(expression)?.[1];
  if (dotted !== undefined) return labels[dotted] ?? "";
  const indexed = /^index\s+\.Service\.Labels\s+("[^"]*"|`[^`]*`)$/.exec(expression)?.[1];
  if (indexed !== undefined) return labels[unquote(indexed)] ?? "";
  const call = /^(env|secret|config)\s+("[^"]*"|`[^`]*`)$/.exec(expression);
  const name = call?.[1];
  if (name === "env" || name === "secret" || name === "config")
    return functions[name]?.(unquote(call?.[2] ?? ""));
  return undefined;
}

/** @throws {InvalidArgumentError} with the placeholder that is not known. */
export function expandTemplate(
  text: string,
  task: Task,
  node: NodeFacts,
  functions: TemplateFunctions = {},
): string {
  if (!text.includes("{{")) return text;
  return text.replace(/\{\{-?\s*(.*?)\s*-?\}\}/g, (whole, expression: string) => {
    const value = evaluate(expression, task, node, functions);
    if (value === undefined) throw new InvalidArgumentError(`unknown placeholder ${whole}`);
    return value;
  });
}
