/**
 * `skein service why`: why a service, or one of its tasks, is as it is. Edge: to the API.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Context, fetchRow } from "../context.js";
import { ApiError } from "../http-client.js";
import type { Row } from "../output/table.js";
import { serviceWhyLines, taskWhyLines } from "../output/why-lines.js";

interface WhyFlags {
  readonly format?: string;
}

/** Names of services hold no dot, so one with a dot is a task's. @returns undefined when there is none. */
async function find(context: Context, kind: "services" | "tasks", name: string): Promise<Row | undefined> {
  try {
    return await fetchRow(context, `/skein/v1/${kind}/${encodeURIComponent(name)}/why`);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

async function explain(context: Context, name: string, flags: WhyFlags): Promise<void> {
  if (flags.format !== undefined && flags.format !== "json")
    throw new InvalidArgumentError(`--format must be json, got ${JSON.stringify(flags.format)}`);
  const service = name.includes(".") ? undefined : await find(context, "services", name);
  const why = service ?? (await find(context, "tasks", name));
  if (why === undefined) throw new Error(`no such service or task: ${name}`);
  if (flags.format === "json") context.print(JSON.stringify(why, undefined, 2));
  else context.print((service === undefined ? taskWhyLines(why) : serviceWhyLines(why)).join("\n"));
}

export function addServiceWhy(service: Command, context: Context): void {
  service
    .command("why")
    .description("Tell why a service, or one of its tasks, is as it is")
    .argument("<service-or-task>", "id or name of a service; id of a task, or SERVICE.SLOT")
    .option("--format <format>", "json")
    .action((name: string, flags: WhyFlags) => explain(context, name, flags));
}
