/**
 * `skein stack …`. Edge: to the API. The reader of compose files is loaded by `deploy` alone.
 */
import { type Command, Option } from "commander";
import { systemClock } from "../../base/clock/system-clock.js";
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { type Context, fetchRows, textOf } from "../context.js";
import { SERVICE_COLUMNS, serviceRow } from "../output/service-rows.js";
import { renderList } from "../output/table.js";
import { waitForServices } from "../progress/http-service-watch.js";
import { listOption } from "../service/service-flags.js";
import { removeStack } from "../stack/http-remove.js";
import { fetchStack, stackFilter, stackOf } from "../stack/http-stack.js";
import { addTaskListFlags, printTasks, type TaskListFlags } from "./task-list.js";

interface DeployFlags {
  readonly composeFile?: string[];
  readonly detach?: boolean;
  readonly quiet?: boolean;
  readonly prune?: boolean;
  readonly withRegistryAuth?: boolean;
  readonly resolveImage?: string;
}

const STACK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_-]*$/;

async function deploy(context: Context, stack: string, flags: DeployFlags): Promise<void> {
  if (!STACK_NAME.test(stack))
    throw new InvalidArgumentError(
      `the name of a stack must begin with a letter or digit and hold only letters, digits, _ and -, ` +
        `got ${JSON.stringify(stack)}`,
    );
  const { composeFile = [] } = flags;
  if (composeFile.length === 0)
    throw new InvalidArgumentError(
      "stack deploy needs a compose file: -c compose.yml, or -c - for standard input",
    );
  if (flags.resolveImage !== undefined)
    context.note("Warning: --resolve-image has no effect: images are not pinned to digests");
  const [{ readProject }, { stackObjects }, { deployStack }, { findingText }] = await Promise.all([
    import("../compose/file-project.js"),
    import("../compose/convert-project.js"),
    import("../stack/http-deploy.js"),
    import("../compose/compose-error.js"),
  ]);
  const project = await readProject(composeFile);
  for (const warning of project.warnings) context.note(`Warning: ${findingText(warning)}`);
  if (Object.keys(project.doc.services).length === 0)
    throw new InvalidArgumentError(`${composeFile.join(", ")}: services: needs at least one service`);
  const services = await deployStack(context, stack, stackObjects(stack, project.doc), {
    prune: flags.prune === true,
    withRegistryAuth: flags.withRegistryAuth === true,
  });
  if (flags.detach === true) return;
  await waitForServices(context, services, { quiet: flags.quiet === true });
  if (flags.quiet !== true) context.print(`verify: Stack ${stack} converged`);
}

async function list(context: Context, flags: { format?: string }): Promise<void> {
  const services = await fetchRows(context, "/services", {
    filters: JSON.stringify({ label: ["com.docker.stack.namespace"] }),
  });
  const counts = new Map<string, number>();
  for (const service of services) {
    const stack = stackOf(service);
    if (stack !== undefined) counts.set(stack, (counts.get(stack) ?? 0) + 1);
  }
  const columns = [
    { header: "NAME", field: "Name" },
    { header: "SERVICES", field: "Services" },
  ];
  const rows = [...counts]
    .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
    .map(([Name, count]) => ({ Name, Services: count, Orchestrator: "Swarm" }));
  context.print(renderList(columns, rows, { format: flags.format, idField: "Name" }));
}

interface ServicesFlags {
  readonly filter?: string[];
  readonly format?: string;
  readonly quiet?: boolean;
}

async function listServices(context: Context, stack: string, flags: ServicesFlags): Promise<void> {
  const filters: Record<string, string[]> = { label: [stackFilter(stack)] };
  for (const filter of flags.filter ?? []) {
    const at = filter.indexOf("=");
    if (at <= 0) throw new InvalidArgumentError(`--filter must be KEY=VALUE, got ${JSON.stringify(filter)}`);
    const key = filter.slice(0, at);
    filters[key] = [...(filters[key] ?? []), filter.slice(at + 1)];
  }
  const services = await fetchRows(context, "/services", {
    filters: JSON.stringify(filters),
    status: "true",
  });
  if (services.length === 0 && flags.filter === undefined)
    throw new NotFoundError(`nothing found in stack: ${stack}`);
  const rows = services
    .map(serviceRow)
    .sort((a, b) => textOf(a["Name"]).localeCompare(textOf(b["Name"]), "en", { numeric: true }));
  context.print(
    renderList(SERVICE_COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "ID" }),
  );
}

export function addStackCommands(program: Command, context: Context): void {
  const stack = program
    .command("stack")
    .description("Manage stacks: the services, networks, secrets and configs of a compose file");
  stack
    .command("deploy")
    .alias("up")
    .description("Deploy a compose file, or bring what it deployed up to date")
    .argument("<stack>", "name of the stack: it begins the names of all it holds")
    .addOption(
      listOption(
        "-c, --compose-file <file>",
        "compose file, or - for standard input; several merge in order",
      ),
    )
    .option("--prune", "remove services of the stack that the file no longer has")
    .option("-d, --detach", "return at once instead of waiting for convergence")
    .option("-q, --quiet", "no progress")
    .addOption(
      new Option("--resolve-image <when>", "accepted, without effect").choices([
        "always",
        "changed",
        "never",
      ]),
    )
    .option("--with-registry-auth", "send the registry's credentials along (from the docker configuration)")
    .action((name: string, flags: DeployFlags) => deploy(context, name, flags));
  stack
    .command("ls")
    .alias("list")
    .description("List stacks")
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .action((flags: { format?: string }) => list(context, flags));
  addTaskListFlags(stack.command("ps").description("List the tasks of a stack").argument("<stack>")).action(
    async (name: string, flags: TaskListFlags) => {
      const tasks = await fetchStack(context, "tasks", name);
      if (tasks.length === 0) throw new NotFoundError(`nothing found in stack: ${name}`);
      await printTasks(context, { label: [stackFilter(name)] }, flags);
    },
  );
  stack
    .command("services")
    .description("List the services of a stack")
    .argument("<stack>")
    .addOption(listOption("-f, --filter <key=value>", "id, label, mode, name"))
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-q, --quiet", "ids alone")
    .action((name: string, flags: ServicesFlags) => listServices(context, name, flags));
  stack
    .command("rm")
    .aliases(["remove", "down"])
    .description("Remove stacks, and wait until their tasks have ended")
    .argument("<stack...>")
    .option("-d, --detach", "return at once instead of waiting")
    .action(async (names: string[], flags: { detach?: boolean }) => {
      for (const name of names)
        await removeStack(context, name, { wait: flags.detach !== true, clock: systemClock });
    });
}
