/**
 * `skein ps` and `skein logs`: the containers of the node that answers. Edge: to the API and the clock.
 */
import type { Command } from "commander";
import { type Context, fetchRow, fetchRows, filtersQuery, inner, textOf } from "../context.js";
import { type LogFlags, logQuery, printLog } from "../logs/http-logs.js";
import { printList } from "../output/print-list.js";
import type { Row } from "../output/table.js";
import { duration, labelsText, shortId, stateColour } from "../output/words.js";
import { listOption } from "../service/service-flags.js";

const COLUMNS = [
  { header: "CONTAINER ID", field: "ID" },
  { header: "IMAGE", field: "Image", shrinks: true },
  { header: "COMMAND", field: "Command", shrinks: true },
  { header: "CREATED", field: "RunningFor" },
  { header: "STATUS", field: "Status", colour: stateColour },
  { header: "PORTS", field: "Ports", shrinks: true },
  { header: "NAMES", field: "Names" },
];

const COMMAND_LENGTH_MAX = 20;

interface PsFlags {
  readonly all?: boolean;
  readonly filter?: string[];
  readonly format?: string;
  readonly last?: string;
  readonly trunc?: boolean;
  readonly quiet?: boolean;
}

function publishedText(port: Row): string {
  if (port["PublicPort"] === undefined) return "";
  return `${textOf(port["IP"] ?? "0.0.0.0")}:${textOf(port["PublicPort"])}->`;
}

export function containerRow(container: Row, noTrunc: boolean): Row {
  const command = textOf(container["Command"]);
  const names = Array.isArray(container["Names"])
    ? container["Names"].map((name) => String(name).replace(/^\//, ""))
    : [];
  const ports = Array.isArray(container["Ports"]) ? (container["Ports"] as Row[]) : []; // the API's own list
  return {
    ID: noTrunc ? container["Id"] : shortId(textOf(container["Id"])),
    Image: container["Image"],
    Command: JSON.stringify(
      noTrunc || command.length <= COMMAND_LENGTH_MAX
        ? command
        : `${command.slice(0, COMMAND_LENGTH_MAX - 1)}…`,
    ),
    CreatedAt: new Date(Number(container["Created"] ?? 0) * 1000).toISOString(),
    RunningFor: `${duration(Date.now() - Number(container["Created"] ?? 0) * 1000)} ago`,
    Status: container["Status"],
    State: container["State"],
    Ports: ports
      .map((port) => `${publishedText(port)}${textOf(port["PrivatePort"])}/${textOf(port["Type"])}`)
      .join(", "),
    Names: names.join(","),
    Labels: labelsText(container["Labels"]),
    Mounts: (Array.isArray(container["Mounts"]) ? (container["Mounts"] as Row[]) : []) // likewise
      .map((mount) => textOf(mount["Name"]) || textOf(mount["Source"]))
      .join(","),
    Networks: Object.keys(inner(container, "NetworkSettings", "Networks"))
      .sort()
      .join(","),
    LocalVolumes: "",
    Size: "",
  };
}

export function addContainerCommands(program: Command, context: Context): void {
  program
    .command("ps")
    .description("List containers")
    .option("-a, --all", "also those that do not run")
    .addOption(
      listOption("-f, --filter <key=value>", "id, name, label, status, exited, health, ancestor, is-task"),
    )
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-n, --last <n>", "the newest n, running or not")
    .option("--no-trunc", "whole ids and commands")
    .option("-q, --quiet", "ids alone")
    .action(async (flags: PsFlags) => {
      const query = {
        all: flags.all ? "1" : "0",
        ...(flags.last === undefined ? {} : { limit: flags.last }),
        ...filtersQuery(flags.filter),
      };
      const rows = (await fetchRows(context, "/containers/json", query)).map((each) =>
        containerRow(each, flags.trunc === false),
      );
      printList(context, COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "ID" });
    });
  program
    .command("logs")
    .description("Show what a container wrote")
    .argument("<container>", "id or name")
    .option("-f, --follow", "go on as more is written")
    .option("--since <time>", "from that time on: RFC 3339, or a duration such as 42m ago")
    .option("--until <time>", "up to that time")
    .option("-n, --tail <lines>", "that many lines from the end", "all")
    .option("-t, --timestamps", "with the time of each line")
    .action(async (name: string, flags: LogFlags) => {
      const path = `/containers/${encodeURIComponent(name)}`;
      const container = await fetchRow(context, `${path}/json`);
      await printLog(context, `${path}/logs`, logQuery(flags, false), {
        tty: inner(container, "Config")["Tty"] === true,
      });
    });
}
