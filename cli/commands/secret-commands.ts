/**
 * `skein secret …` and `skein config …`, which differ in one thing: a config's data can be read back.
 * Edge: to the API.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import {
  type Context,
  fetchRow,
  fetchRows,
  filtersQuery,
  forEachName,
  inner,
  readInput,
  textOf,
} from "../context.js";
import { printList } from "../output/print-list.js";
import type { Row } from "../output/table.js";
import { duration } from "../output/words.js";
import { listOption } from "../service/service-flags.js";
import { keyValues } from "../units.js";
import { printInspect } from "./inspect.js";

type Kind = "secret" | "config";

interface CreateFlags {
  readonly label?: string[];
  readonly driver?: string;
  readonly templateDriver?: string;
}

async function create(
  context: Context,
  kind: Kind,
  target: { name: string; file: string | undefined },
  flags: CreateFlags,
): Promise<void> {
  const { name, file } = target;
  if (file === undefined && flags.driver === undefined)
    throw new InvalidArgumentError(`${kind} create needs a file, or - for standard input`);
  if (file !== undefined && flags.driver !== undefined)
    throw new InvalidArgumentError("a secret with a driver takes no file: its data comes from the driver");
  const body = {
    Name: name,
    Labels: keyValues(flags.label ?? []),
    ...(file === undefined ? {} : { Data: (await readInput(file)).toString("base64") }),
    ...(flags.driver === undefined ? {} : { Driver: driverOf(flags.driver) }),
    ...(flags.templateDriver === undefined ? {} : { Templating: { Name: flags.templateDriver } }),
  };
  const answer = await context.client().call("POST", `/${kind}s/create`, { body });
  context.print(textOf((answer as Row)["ID"])); // the API answers with an object
}

/** "vault,mount=kv,field=password" as the API has it. @throws {InvalidArgumentError} an option without a value. */
export function driverOf(text: string): Row {
  const [name = "", ...options] = text.split(",");
  const faulty = options.find((option) => option.indexOf("=") <= 0);
  if (faulty !== undefined)
    throw new InvalidArgumentError(
      `--driver must be NAME[,OPTION=VALUE…], got ${JSON.stringify(faulty)} in ${JSON.stringify(text)}`,
    );
  return { Name: name, ...(options.length === 0 ? {} : { Options: keyValues(options) }) };
}

interface UpdateFlags {
  readonly labelAdd?: string[];
  readonly labelRm?: string[];
}

async function update(
  context: Context,
  kind: Kind,
  target: { name: string; file: string | undefined },
  flags: UpdateFlags,
): Promise<void> {
  const { name, file } = target;
  const { labelAdd = [], labelRm = [] } = flags;
  if (file === undefined && labelAdd.length === 0 && labelRm.length === 0)
    throw new InvalidArgumentError(`${kind} update needs a file (or -), --label-add or --label-rm`);
  const path = `/${kind}s/${encodeURIComponent(name)}`;
  const object = await fetchRow(context, path);
  const labels = { ...inner(object, "Spec", "Labels"), ...keyValues(labelAdd) };
  for (const key of labelRm) delete labels[key];
  const spec = inner(object, "Spec");
  const body = {
    Name: spec["Name"],
    Labels: labels,
    ...(file === undefined ? {} : { Data: (await readInput(file)).toString("base64") }),
  };
  const version = textOf(inner(object, "Version")["Index"]);
  await context.client().call("POST", `${path}/update?version=${version}`, { body });
  const after = await fetchRow(context, path);
  const [was, is] = [textOf(object["DataVersion"]), textOf(after["DataVersion"])];
  context.print(was === is ? name : `${name}: version ${is}; the services that use it are being updated`);
}

function listRow(object: Row, nowMs: number): Row {
  const ago = (key: string): string => `${duration(nowMs - Date.parse(textOf(object[key])))} ago`;
  return {
    ID: object["ID"],
    Name: inner(object, "Spec")["Name"],
    Version: object["DataVersion"],
    Driver: textOf(inner(object, "Spec", "Driver")["Name"]),
    CreatedAt: ago("CreatedAt"),
    UpdatedAt: ago("UpdatedAt"),
    Labels: Object.entries(inner(object, "Spec", "Labels"))
      .map(([key, value]) => `${key}=${textOf(value)}`)
      .join(","),
  };
}

function columnsOf(kind: Kind): { header: string; field: string }[] {
  const times = [
    { header: "CREATED", field: "CreatedAt" },
    { header: "UPDATED", field: "UpdatedAt" },
  ];
  const names = [
    { header: "ID", field: "ID" },
    { header: "NAME", field: "Name" },
    { header: "VERSION", field: "Version" },
  ];
  return kind === "secret"
    ? [...names, { header: "DRIVER", field: "Driver" }, ...times]
    : [...names, ...times];
}

/** Docker prints a config's data for people. */
function readable(config: Row): Row {
  return {
    ...config,
    Spec: {
      ...inner(config, "Spec"),
      Data: Buffer.from(textOf(inner(config, "Spec")["Data"]), "base64").toString("utf8"),
    },
  };
}

function addCommands(program: Command, context: Context, kind: Kind): void {
  const group = program.command(kind).description(`Manage ${kind}s`);
  const creating = group
    .command("create")
    .description(`Create a ${kind} from a file or standard input`)
    .argument("<name>", `name of the ${kind}`)
    .argument("[file]", "path of a file, or - for standard input")
    .addOption(listOption("-l, --label <key=value>", `label of the ${kind}`))
    .option("--template-driver <driver>", "fill in templates with this driver (golang)");
  if (kind === "secret")
    creating.option("-d, --driver <driver>", "plugin that gives the data to each task: NAME[,OPTION=VALUE…]");
  creating.action((name: string, file: string | undefined, flags: CreateFlags) =>
    create(context, kind, { name, file }, flags),
  );

  group
    .command("update")
    .description(
      `Give a ${kind} new data or labels. New data becomes its next version, and the services that use ` +
        "it are updated to it by their own update settings; " +
        '"service rollback" takes a service back to the data it had',
    )
    .argument(`<${kind}>`, "id or name")
    .argument("[file]", "path of a file with the new data, or - for standard input")
    .addOption(listOption("--label-add <key=value>", "add or change a label"))
    .addOption(listOption("--label-rm <key>", "remove a label"))
    .action((name: string, file: string | undefined, flags: UpdateFlags) =>
      update(context, kind, { name, file }, flags),
    );

  group
    .command("ls")
    .alias("list")
    .description(`List ${kind}s`)
    .addOption(listOption("-f, --filter <key=value>", "id, label, name"))
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-q, --quiet", "ids alone")
    .action(async (flags: { filter?: string[]; format?: string; quiet?: boolean }) => {
      const objects = await fetchRows(context, `/${kind}s`, filtersQuery(flags.filter));
      const nowMs = Date.now();
      const rows = objects
        .map((each) => listRow(each, nowMs))
        .sort((a, b) => textOf(a["Name"]).localeCompare(textOf(b["Name"]), "en", { numeric: true }));
      printList(context, columnsOf(kind), rows, { format: flags.format, quiet: flags.quiet, idField: "ID" });
    });

  group
    .command("inspect")
    .description(`Show everything about ${kind}s${kind === "secret" ? "; their data is never shown" : ""}`)
    .argument(`<${kind}...>`, "ids or names")
    .option("-f, --format <template>", "a template")
    .option("--pretty", "for people")
    .action((names: string[], flags: { format?: string; pretty?: boolean }) =>
      printInspect(context, names, flags, async (name) => {
        const object = await fetchRow(context, `/${kind}s/${encodeURIComponent(name)}`);
        return kind === "config" && flags.pretty === true ? readable(object) : object;
      }),
    );

  group
    .command("rm")
    .alias("remove")
    .description(`Remove ${kind}s`)
    .argument(`<${kind}...>`, "ids or names")
    .action((names: string[]) =>
      forEachName(context, names, async (name) => {
        await context.client().call("DELETE", `/${kind}s/${encodeURIComponent(name)}`);
        return name;
      }),
    );
}

export function addSecretCommands(program: Command, context: Context): void {
  addCommands(program, context, "secret");
}

export function addConfigCommands(program: Command, context: Context): void {
  addCommands(program, context, "config");
}
