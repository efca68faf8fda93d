/**
 * Fetches and prints tasks for `service ps`, `stack ps`, `node ps`. Edge: to the API and the clock of the
 * machine.
 */
import type { Command } from "commander";
import { type Context, fetchRows, inner, textOf } from "../context.js";
import { printList } from "../output/print-list.js";
import { TASK_COLUMNS, taskRows } from "../output/task-rows.js";
import { listOption } from "../service/service-flags.js";

export interface TaskListFlags {
  readonly filter?: readonly string[];
  readonly format?: string;
  readonly resolve?: boolean;
  readonly trunc?: boolean;
  readonly quiet?: boolean;
}

export function addTaskListFlags(command: Command): Command {
  return command
    .addOption(listOption("-f, --filter <key=value>", "id, name, node, desired-state"))
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("--no-resolve", "ids instead of names")
    .option("--no-trunc", "whole ids and errors")
    .option("-q, --quiet", "ids alone");
}

/** @param base filters that the command itself sets. */
export async function printTasks(
  context: Context,
  base: Readonly<Record<string, readonly string[]>>,
  flags: TaskListFlags,
): Promise<void> {
  const filters: Record<string, readonly string[]> = { ...base };
  for (const filter of flags.filter ?? []) {
    const at = filter.indexOf("=");
    const key = filter.slice(0, at);
    filters[key] = [...(filters[key] ?? []), filter.slice(at + 1)];
  }
  const [tasks, services, nodes] = await Promise.all([
    fetchRows(context, "/tasks", { filters: JSON.stringify(filters) }),
    fetchRows(context, "/services"),
    fetchRows(context, "/nodes"),
  ]);
  const rows = taskRows(tasks, {
    serviceNames: new Map(
      services.map((service) => [textOf(service["ID"]), textOf(inner(service, "Spec")["Name"])]),
    ),
    nodeNames: new Map(
      nodes.map((node) => [textOf(node["ID"]), textOf(inner(node, "Description")["Hostname"])]),
    ),
    noTrunc: flags.trunc === false,
    noResolve: flags.resolve === false,
    nowMs: Date.now(),
  });
  printList(context, TASK_COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "ID" });
}
