/**
 * `skein events|info|version`. Edge: to the API.
 */
import type { Command } from "commander";
import { type Context, fetchRow, filtersQuery, inner, textOf } from "../context.js";
import { sinceParameter } from "../logs/http-logs.js";
import { applyTemplate, type Row } from "../output/table.js";
import { size } from "../output/words.js";
import { listOption } from "../service/service-flags.js";

interface FormatFlags {
  readonly format?: string;
}

function formatted(value: Row, format: string): string {
  return format === "json" ? JSON.stringify(value) : applyTemplate(format, value);
}

/** "2026-01-02T03:04:05.678Z service create ID (name=web)". */
export function eventLine(event: Row): string {
  const attributes = Object.entries(inner(event, "Actor", "Attributes"))
    .map(([key, value]) => `${key}=${textOf(value)}`)
    .sort();
  const time = new Date(Number(event["timeNano"] ?? 0) / 1e6).toISOString();
  const detail = attributes.length === 0 ? "" : ` (${attributes.join(", ")})`;
  return `${time} ${textOf(event["Type"])} ${textOf(event["Action"])} ${textOf(inner(event, "Actor")["ID"])}${detail}`;
}

async function followEvents(
  context: Context,
  flags: FormatFlags & { filter?: string[]; since?: string; until?: string; after?: string },
): Promise<void> {
  const nowMs = Date.now();
  const query = {
    ...filtersQuery(flags.filter),
    ...(flags.since === undefined ? {} : { since: sinceParameter(flags.since, "--since", nowMs) }),
    ...(flags.until === undefined ? {} : { until: sinceParameter(flags.until, "--until", nowMs) }),
  };
  const { after } = flags;
  const stream =
    after === undefined
      ? await context.client().stream("GET", "/events", { query })
      : await context.client().stream("GET", "/skein/v1/events", { query: { ...query, after } });
  let rest = "";
  for await (const chunk of stream) {
    const lines = `${rest}${(chunk as Buffer).toString("utf8")}`.split("\n"); // no encoding is set
    rest = lines.pop() ?? "";
    for (const line of lines.filter((each) => each.trim() !== "")) {
      const event = JSON.parse(line) as Row; // one object a line
      if ("gap" in event) throw new Error(textOf(event["message"]));
      context.print(flags.format === undefined ? eventLine(event) : formatted(event, flags.format));
    }
  }
}

/** What a person wants to know first of a node. */
export function infoText(info: Row): string {
  const swarm = inner(info, "Swarm");
  const lines: [string, unknown][] = [
    ["Name", info["Name"]],
    ["Server Version", info["ServerVersion"]],
    [
      "Containers",
      `${textOf(info["Containers"])} (${textOf(info["ContainersRunning"])} running, ` +
        `${textOf(info["ContainersStopped"])} stopped)`,
    ],
    ["Images", info["Images"]],
    ["Swarm", swarm["LocalNodeState"]],
    [" NodeID", swarm["NodeID"]],
    [" Is Manager", swarm["NodeID"] === "" ? "" : swarm["ControlAvailable"]],
    [" ClusterID", inner(swarm, "Cluster")["ID"]],
    [" Managers", swarm["Managers"]],
    [" Nodes", swarm["Nodes"]],
    [" Node Address", swarm["NodeAddr"]],
    [" Error", swarm["Error"]],
    ["Default Runtime", info["DefaultRuntime"]],
    ["Storage Driver", info["Driver"]],
    ["Logging Driver", info["LoggingDriver"]],
    ["Cgroup Version", info["CgroupVersion"]],
    ["Kernel Version", info["KernelVersion"]],
    ["Operating System", info["OperatingSystem"]],
    ["Architecture", info["Architecture"]],
    ["CPUs", info["NCPU"]],
    ["Total Memory", size(Number(info["MemTotal"] ?? 0))],
    ["Data Directory", info["DockerRootDir"]],
  ];
  const warnings = Array.isArray(info["Warnings"]) ? info["Warnings"].map(textOf) : [];
  return [
    ...lines.filter(([, value]) => textOf(value) !== "").map(([key, value]) => `${key}: ${textOf(value)}`),
    ...warnings,
  ].join("\n");
}

function versionText(title: string, version: Row): string {
  const lines: [string, unknown][] = [
    ["Version", version["Version"]],
    ["API version", version["ApiVersion"]],
    ["Oldest API version", version["MinAPIVersion"]],
    ["Node.js version", version["NodeVersion"]],
    ["OS/Arch", `${textOf(version["Os"])}/${textOf(version["Arch"])}`],
    ["Kernel", version["KernelVersion"]],
  ];
  const shown = lines.filter(([, value]) => textOf(value) !== "");
  return [`${title}:`, ...shown.map(([key, value]) => ` ${`${key}:`.padEnd(20)}${textOf(value)}`)].join("\n");
}

export function addSystemCommands(program: Command, context: Context): void {
  program
    .command("events")
    .description("Follow what happens in the swarm and on this node")
    .addOption(
      listOption("-f, --filter <key=value>", "type, event, scope, label, service, node, container, task …"),
    )
    .option("--format <template>", "a template or json")
    .option("--since <time>", "from that time on")
    .option("--until <time>", "up to that time, then end")
    .option("--after <index>", "the cluster's events behind that number (the index of an event)")
    .action((flags: FormatFlags & { filter?: string[]; since?: string; until?: string; after?: string }) =>
      followEvents(context, flags),
    );
  program
    .command("info")
    .description("Show the state of this node and its swarm")
    .option("-f, --format <template>", "a template or json")
    .action(async (flags: FormatFlags) => {
      const info = await fetchRow(context, "/info");
      context.print(flags.format === undefined ? infoText(info) : formatted(info, flags.format));
    });
  program
    .command("version")
    .description("Show the versions of this command and of the daemon")
    .option("-f, --format <template>", "a template or json")
    .action(async (flags: FormatFlags) => {
      const server = await fetchRow(context, "/version");
      const client = {
        Version: program.version(),
        NodeVersion: process.version,
        Os: process.platform,
        Arch: process.arch,
      };
      if (flags.format !== undefined)
        context.print(formatted({ Client: client, Server: server }, flags.format));
      else {
        context.print(`${versionText("Client", { ...client })}\n\n${versionText("Server", server)}`);
      }
    });
}
