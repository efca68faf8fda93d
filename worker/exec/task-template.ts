/**
 * Fills in the placeholders of a task: {{.Service.Name}} and so on, in hostname, environment,
 * mounts and templated files.
 * Pure. Invariant: what is not understood is refused by name, never passed on.
 * Source: the placeholders `docker service create` documents.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type NodeFacts, PLACEHOLDER, placeholderValue } from "../../proto/dispatch/task-placeholders.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { taskName } from "./task-names.js";

/** Functions that templated secrets and configs may call besides. */
export interface TemplateFunctions {
  readonly env?: (name: string) => string;
  readonly secret?: (target: string) => string;
  readonly config?: (target: string) => string;
}

function callValue(expression: string, functions: TemplateFunctions): string | undefined {
  const call = /^(env|secret|config)\s+("[^"]*"|`[^`]*`)$/.exec(expression);
  const name = call?.[1];
  if (name !== "env" && name !== "secret" && name !== "config") return undefined;
  return functions[name]?.(call?.[2]?.slice(1, -1) ?? "");
}

/** @throws {InvalidArgumentError} with the placeholder that is not known. */
export function expandTemplate(
  text: string,
  task: Task,
  node: NodeFacts,
  functions: TemplateFunctions = {},
): string {
  if (!text.includes("{{")) return text;
  const facts = { task, taskName: taskName(task), node };
  return text.replace(PLACEHOLDER, (whole, expression: string) => {
    const value = placeholderValue(expression, facts) ?? callValue(expression, functions);
    if (value === undefined) throw new InvalidArgumentError(`unknown placeholder ${whole}`);
    return value;
  });
}
