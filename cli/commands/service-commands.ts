/**
 * `skein service …`. Edge: to the API.
 * What changes a service waits until it runs as asked, unless --detach says otherwise.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Context, fetchRow, fetchRows, filtersQuery, forEachName, inner, textOf } from "../context.js";
import { printList } from "../output/print-list.js";
import { SERVICE_COLUMNS, serviceRow } from "../output/service-rows.js";
import { waitForServices } from "../progress/http-service-watch.js";
import { createSpec } from "../service/create-spec.js";
import type { Json } from "../service/flag-values.js";
import { createService, fetchService, lookupsOf, updateService } from "../service/http-services.js";
import { addCreateFlags, addUpdateFlags, FlagValues, listOption } from "../service/service-flags.js";
import { updatedSpec } from "../service/update-spec.js";
import { parseInteger } from "../units.js";
import { printInspect } from "./inspect.js";
import { addServiceLogs } from "./service-logs.js";
import { addServiceWhy } from "./service-why.js";
import { addTaskListFlags, printTasks, type TaskListFlags } from "./task-list.js";

interface WaitFlags {
  readonly detach?: boolean;
  readonly quiet?: boolean;
}

async function settle(
  context: Context,
  service: { id: string; name: string },
  flags: WaitFlags & { readonly rollback?: boolean },
): Promise<void> {
  if (flags.detach === true) return;
  await waitForServices(context, [service], {
    quiet: flags.quiet === true,
    rollback: flags.rollback === true,
  });
  if (flags.quiet !== true) context.print(`verify: Service ${service.name} converged`);
}

function addCreate(service: Command, context: Context): void {
  const create = service
    .command("create")
    .description("Create a service")
    .usage("[OPTIONS] IMAGE [COMMAND] [ARG...]")
    .argument("<image>", "image of the tasks")
    .argument("[command...]", "command and arguments in place of the image's")
    .passThroughOptions();
  addCreateFlags(create);
  create.action(async (image: string, words: string[]) => {
    const flags = new FlagValues(create.opts());
    const spec = await createSpec(image, words, flags, lookupsOf(context));
    const id = await createService(context, spec, { withRegistryAuth: flags.has("with-registry-auth") });
    context.print(id);
    await settle(context, { id, name: flags.text("name") ?? id }, create.opts<WaitFlags>());
  });
}

/** The API keeps networks by id: names to be removed are looked up. */
export async function withNetworkIds(
  context: Context,
  values: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, unknown>>> {
  const names = values["networkRm"];
  if (!Array.isArray(names)) return values;
  const ids = await Promise.all(
    names.map(async (name) =>
      textOf((await fetchRow(context, `/networks/${encodeURIComponent(String(name))}`))["Id"]),
    ),
  );
  return { ...values, networkRm: [...names, ...ids] };
}

function addUpdate(service: Command, context: Context): void {
  const update = service
    .command("update")
    .description("Change a service")
    .usage("[OPTIONS] SERVICE")
    .argument("<service>", "id or name");
  addUpdateFlags(update);
  update.action(async (name: string) => {
    const values = update.opts<WaitFlags & { rollback?: boolean }>();
    if (values.rollback === true) {
      await rollBack(context, name, values);
      return;
    }
    const flags = new FlagValues(await withNetworkIds(context, update.opts()));
    const before = await fetchService(context, name);
    const spec = await updatedSpec({ ...inner(before, "Spec") }, flags, lookupsOf(context));
    await updateService(context, before, spec, { withRegistryAuth: flags.has("with-registry-auth") });
    context.print(name);
    await settle(context, { id: textOf(before["ID"]), name }, values);
  });
}

async function rollBack(context: Context, name: string, flags: WaitFlags): Promise<void> {
  const before = await fetchService(context, name);
  await updateService(context, before, inner(before, "Spec"), { withRegistryAuth: false, rollback: true });
  context.print(name);
  await settle(context, { id: textOf(before["ID"]), name }, { ...flags, rollback: true });
}

/** The mode with another number of tasks. @throws {InvalidArgumentError} a mode without replicas. */
export function scaledMode(mode: Json, name: string, replicas: number): Json {
  if ("Replicated" in mode) return { Replicated: { Replicas: replicas } };
  if ("ReplicatedJob" in mode)
    // an object in the API
    return { ReplicatedJob: { ...(mode["ReplicatedJob"] as Json), TotalCompletions: replicas } };
  throw new InvalidArgumentError(`${name}: scale can only be used with replicated or replicated-job mode`);
}

async function scale(context: Context, targets: readonly string[], flags: WaitFlags): Promise<void> {
  const wanted = targets.map((target) => {
    const [name = "", count, ...more] = target.split("=");
    if (name === "" || count === undefined || more.length > 0)
      throw new InvalidArgumentError(`scale takes SERVICE=REPLICAS, got ${JSON.stringify(target)}`);
    return { name, replicas: parseInteger(count, name) };
  });
  const scaled: { id: string; name: string }[] = [];
  await forEachName(
    context,
    wanted.map(({ name }) => name),
    async (name) => {
      const replicas = wanted.find((each) => each.name === name)?.replicas ?? 0;
      const before = await fetchService(context, name);
      const spec = inner(before, "Spec");
      await updateService(
        context,
        before,
        { ...spec, Mode: scaledMode({ ...inner(spec, "Mode") }, name, replicas) },
        { withRegistryAuth: false },
      );
      scaled.push({ id: textOf(before["ID"]), name });
      return `${name} scaled to ${replicas}`;
    },
  );
  if (flags.detach === true) return;
  await waitForServices(context, scaled);
  for (const { name } of scaled) context.print(`verify: Service ${name} converged`);
}

function addListing(service: Command, context: Context): void {
  service
    .command("ls")
    .alias("list")
    .description("List services")
    .addOption(listOption("-f, --filter <key=value>", "id, label, mode, name"))
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-q, --quiet", "ids alone")
    .action(async (flags: { filter?: string[]; format?: string; quiet?: boolean }) => {
      const services = await fetchRows(context, "/services", {
        ...filtersQuery(flags.filter),
        status: "true",
      });
      const rows = services
        .map(serviceRow)
        .sort((a, b) => textOf(a["Name"]).localeCompare(textOf(b["Name"]), "en", { numeric: true }));
      printList(context, SERVICE_COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "ID" });
    });
  addTaskListFlags(
    service.command("ps").description("List the tasks of services").argument("<service...>", "ids or names"),
  ).action(async (names: string[], flags: TaskListFlags) => {
    const ids = await Promise.all(
      names.map(async (name) => textOf((await fetchService(context, name))["ID"])),
    );
    await printTasks(context, { service: ids }, flags);
  });
  service
    .command("inspect")
    .description("Show everything about services")
    .argument("<service...>", "ids or names")
    .option("-f, --format <template>", "a template")
    .option("--pretty", "for people")
    .action((names: string[], flags: { format?: string; pretty?: boolean }) =>
      printInspect(context, names, flags, (name) => fetchService(context, name)),
    );
}

export function addServiceCommands(program: Command, context: Context): void {
  const service = program.command("service").description("Manage services").enablePositionalOptions();
  addCreate(service, context);
  addUpdate(service, context);
  addListing(service, context);
  addServiceLogs(service, context);
  addServiceWhy(service, context);
  service
    .command("scale")
    .description("Set the number of tasks of services")
    .argument("<service=replicas...>")
    .option("-d, --detach", "return at once instead of waiting for convergence")
    .action((targets: string[], flags: WaitFlags) => scale(context, targets, flags));
  service
    .command("rollback")
    .description("Go back to the specification before the last update")
    .argument("<service>", "id or name")
    .option("-d, --detach", "return at once instead of waiting for convergence")
    .option("-q, --quiet", "no progress")
    .action((name: string, flags: WaitFlags) => rollBack(context, name, flags));
  service
    .command("rm")
    .alias("remove")
    .description("Remove services")
    .argument("<service...>", "ids or names")
    .action((names: string[]) =>
      forEachName(context, names, async (name) => {
        await context.client().call("DELETE", `/services/${encodeURIComponent(name)}`);
        return name;
      }),
    );
}
