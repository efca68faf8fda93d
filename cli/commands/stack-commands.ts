/**
 * `skein stack …`: the commands, and the listings among them. Edge: to the API.
 */
import type { Command } from "commander";
import { NotFoundError } from "../../base/errors/errors.js";
import { type Context, fetchRows, filtersQuery, textOf } from "../context.js";
import { printList } from "../output/print-list.js";
import { SERVICE_COLUMNS, serviceRow } from "../output/service-rows.js";
import { listOption } from "../service/service-flags.js";
import { fetchStack, stackFilter } from "../stack/http-stack.js";
import { addStackConfig } from "./stack-config-command.js";
import { addStackDeployCommands } from "./stack-deploy-commands.js";
import { addStackHistoryCommands } from "./stack-history-commands.js";
import { addTaskListFlags, printTasks, type TaskListFlags } from "./task-list.js";

async function list(
  context: Context,
  flags: { readonly format?: string; readonly quiet?: boolean },
): Promise<void> {
  const [{ fetchStacks }, { STACK_COLUMNS, stackRow }] = await Promise.all([
    import("../stack/http-stacks.js"),
    import("../output/stack-rows.js"),
  ]);
  const rows = (await fetchStacks(context))
    .map(stackRow)
    .sort((a, b) => textOf(a["Name"]).localeCompare(textOf(b["Name"]), "en", { numeric: true }));
  printList(context, STACK_COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "Name" });
}

interface ServicesFlags {
  readonly filter?: string[];
  readonly format?: string;
  readonly quiet?: boolean;
}

async function listServices(context: Context, stack: string, flags: ServicesFlags): Promise<void> {
  const filters = filtersQuery([`label=${stackFilter(stack)}`, ...(flags.filter ?? [])]);
  const services = await fetchRows(context, "/services", { ...filters, status: "true" });
  if (services.length === 0 && flags.filter === undefined)
    throw new NotFoundError(`nothing found in stack: ${stack}`);
  const rows = services
    .map(serviceRow)
    .sort((a, b) => textOf(a["Name"]).localeCompare(textOf(b["Name"]), "en", { numeric: true }));
  printList(context, SERVICE_COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "ID" });
}

function addListings(stack: Command, context: Context): void {
  stack
    .command("ls")
    .alias("list")
    .description("List stacks, their revisions and how their deployments stand")
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-q, --quiet", "names alone")
    .addHelpText(
      "after",
      "\nExamples:\n" + "  skein stack ls\n" + "  skein stack ls --format '{{.Name}} {{.State}}'",
    )
    .action((flags: { readonly format?: string; readonly quiet?: boolean }) => list(context, flags));
  addTaskListFlags(
    stack.command("ps").description("List the tasks of a stack").argument("<stack>", "name of the stack"),
  )
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  skein stack ps shop\n" +
        "  skein stack ps -f desired-state=running shop         without those that ended\n" +
        "  skein stack ps --no-trunc shop                       whole errors",
    )
    .action(async (name: string, flags: TaskListFlags) => {
      const tasks = await fetchStack(context, "tasks", name);
      if (tasks.length === 0) throw new NotFoundError(`nothing found in stack: ${name}`);
      await printTasks(context, { label: [stackFilter(name)] }, flags);
    });
  stack
    .command("services")
    .description("List the services of a stack")
    .argument("<stack>", "name of the stack")
    .addOption(listOption("-f, --filter <key=value>", "id, label, mode, name"))
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-q, --quiet", "ids alone")
    .addHelpText(
      "after",
      "\nExamples:\n  skein stack services shop\n  skein stack services -f mode=global shop",
    )
    .action((name: string, flags: ServicesFlags) => listServices(context, name, flags));
}

export function addStackCommands(program: Command, context: Context): void {
  const stack = program
    .command("stack")
    .description("Manage stacks: the services, networks, secrets and configs of a compose file")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  skein stack plan shop                                what would change (compose.yaml of this folder)\n" +
        "  skein stack deploy shop                              deploy it as one transaction\n" +
        "  skein stack history shop                             what was deployed, when, by whom\n" +
        "  skein stack undo shop                                take the last deployment back",
    );
  addStackDeployCommands(stack, context);
  addStackConfig(stack, context);
  addListings(stack, context);
  addStackHistoryCommands(stack, context);
}
