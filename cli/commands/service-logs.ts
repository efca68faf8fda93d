/**
 * `skein service logs`: the merged log of a service's tasks, or of one task. Edge: to the API.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Context, fetchRow, fetchRows, inner, textOf } from "../context.js";
import { ApiError } from "../http-client.js";
import { type LogFlags, logQuery, printLog } from "../logs/http-logs.js";
import { formatLogLine, type LogLineOptions } from "../logs/service-log-line.js";
import type { Row } from "../output/table.js";
import { fetchService } from "../service/http-services.js";

interface ServiceLogFlags extends LogFlags {
  readonly raw?: boolean;
  readonly resolve?: boolean;
  readonly taskIds?: boolean;
  readonly trunc?: boolean;
}

interface LogSource {
  readonly path: string;
  readonly tty: boolean;
  readonly replicas: number;
}

/** A service by that name or id, else a task by that id. @throws {Error} when there is neither. */
async function sourceOf(context: Context, name: string): Promise<LogSource> {
  const tty = (owner: Row, ...path: string[]): boolean =>
    inner(owner, ...path, "ContainerSpec")["TTY"] === true;
  try {
    const service = await fetchService(context, name);
    const replicas = Number(inner(service, "Spec", "Mode", "Replicated")["Replicas"] ?? 1);
    return {
      path: `/services/${textOf(service["ID"])}/logs`,
      tty: tty(service, "Spec", "TaskTemplate"),
      replicas,
    };
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
  }
  try {
    const task = await fetchRow(context, `/tasks/${encodeURIComponent(name)}`);
    return {
      // as it was asked for: the name of a removed service stands for all its tasks
      path: `/tasks/${encodeURIComponent(name)}/logs`,
      tty: tty(task, "Spec"),
      replicas: Number(task["Slot"] ?? 1),
    };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404)
      throw new Error(`no such task or service: ${name}`, { cause: error });
    throw error;
  }
}

/** Names for ids; asked for again when a line names a task that came later, at most once per task. */
class NameBook {
  readonly tasks = new Map<string, Row>();
  readonly serviceNames = new Map<string, string>();
  readonly nodeNames = new Map<string, string>();
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  async load(): Promise<void> {
    const [tasks, services, nodes] = await Promise.all(
      ["/tasks", "/services", "/nodes"].map((path) => fetchRows(this.#context, path)),
    );
    for (const task of tasks ?? []) this.tasks.set(textOf(task["ID"]), task);
    for (const service of services ?? [])
      this.serviceNames.set(textOf(service["ID"]), textOf(inner(service, "Spec")["Name"]));
    for (const node of nodes ?? [])
      this.nodeNames.set(textOf(node["ID"]), textOf(inner(node, "Description")["Hostname"]));
  }

  async learn(line: string): Promise<void> {
    const taskId = /com\.docker\.swarm\.task\.id=(\w+)/.exec(line)?.[1];
    if (taskId === undefined || this.tasks.has(taskId)) return;
    await this.load();
    if (!this.tasks.has(taskId)) this.tasks.set(taskId, await this.#removed(taskId));
  }

  /** No list shows a task that was removed not long ago. */
  async #removed(taskId: string): Promise<Row> {
    try {
      return await fetchRow(this.#context, `/tasks/${taskId}`);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return {};
      throw error;
    }
  }
}

async function showLogs(context: Context, name: string, flags: ServiceLogFlags): Promise<void> {
  const source = await sourceOf(context, name);
  if (source.tty && flags.raw !== true)
    throw new InvalidArgumentError("logs of a service with a terminal (--tty) can only be shown with --raw");
  if (flags.raw === true) {
    await printLog(context, source.path, logQuery(flags, flags.details === true), { tty: source.tty });
    return;
  }
  const book = new NameBook(context);
  await book.load();
  const options: LogLineOptions = {
    timestamps: flags.timestamps === true,
    details: flags.details === true,
    noResolve: flags.resolve === false,
    noTaskIds: flags.taskIds === false,
    noTrunc: flags.trunc === false,
    slotWidth: String(source.replicas).length,
  };
  const format = async (line: string): Promise<string> => {
    await book.learn(line);
    return formatLogLine(line, book, options);
  };
  await printLog(context, source.path, logQuery(flags, true), { tty: false, format });
}

export function addServiceLogs(service: Command, context: Context): void {
  service
    .command("logs")
    .description("Show what the tasks of a service, or one task, wrote")
    .argument("<service-or-task>", "id or name of a service, or id of a task")
    .option("-f, --follow", "go on as more is written")
    .option("--since <time>", "from that time on: RFC 3339, or a duration such as 42m ago")
    .option("-n, --tail <lines>", "that many lines from the end of each task's log", "all")
    .option("-t, --timestamps", "with the time of each line")
    .option("--details", "with more details of each line's origin")
    .option("--raw", "the lines as they were written")
    .option("--no-resolve", "ids instead of names")
    .option("--no-task-ids", "without the tasks' ids")
    .option("--no-trunc", "whole ids")
    .action((name: string, flags: ServiceLogFlags) => showLogs(context, name, flags));
}
