/**
 * `skein node …`. Edge: to the API.
 */
import { type Command, Option } from "commander";
import { type Context, fetchRow, fetchRows, filtersQuery, forEachName, inner, textOf } from "../context.js";
import { printList } from "../output/print-list.js";
import type { Row } from "../output/table.js";
import { capitalized, stateColour } from "../output/words.js";
import { listOption } from "../service/service-flags.js";
import { keyValues, parseDuration } from "../units.js";
import { printInspect } from "./inspect.js";
import { addTaskListFlags, printTasks, type TaskListFlags } from "./task-list.js";

const COLUMNS = [
  { header: "ID", field: "ID" },
  { header: "HOSTNAME", field: "Hostname" },
  { header: "STATUS", field: "Status", colour: stateColour },
  { header: "AVAILABILITY", field: "Availability", colour: stateColour },
  { header: "MANAGER STATUS", field: "ManagerStatus", colour: stateColour },
  { header: "ENGINE VERSION", field: "EngineVersion" },
];

/** As Docker's words; `goal`: what the swarm wants every node to have. */
function tlsStatus(tls: Row, goal: Row): string {
  if (textOf(tls["TrustRoot"]) === "" && textOf(tls["CertIssuerPublicKey"]) === "") return "Unknown";
  const same = ["TrustRoot", "CertIssuerPublicKey", "CertIssuerSubject"].every(
    (key) => tls[key] === goal[key],
  );
  return same ? "Ready" : "Needs Rotation";
}

function nodeRow(node: Row, { selfId, marked, goal }: { selfId: string; marked: boolean; goal: Row }): Row {
  const manager = node["ManagerStatus"] === undefined ? undefined : inner(node, "ManagerStatus");
  const self = node["ID"] === selfId;
  return {
    ID: `${textOf(node["ID"])}${self && marked ? " *" : ""}`,
    Self: self,
    Hostname: inner(node, "Description")["Hostname"],
    Status: capitalized(textOf(inner(node, "Status")["State"])),
    Availability: capitalized(textOf(inner(node, "Spec")["Availability"])),
    ManagerStatus:
      manager === undefined
        ? ""
        : manager["Leader"] === true
          ? "Leader"
          : capitalized(textOf(manager["Reachability"])),
    EngineVersion: inner(node, "Description", "Engine")["EngineVersion"],
    TLSStatus: tlsStatus(inner(node, "Description", "TLSInfo"), goal),
  };
}

/** What is wrong with a node that is there to say so: its manager, its clock. */
function trouble(node: Row): string[] {
  const { State: state, Message: message } = inner(node, "Status");
  if (state !== "ready" || textOf(message) === "") return [];
  return [`WARNING: ${textOf(inner(node, "Description")["Hostname"])}: ${textOf(message)}`];
}

async function changeNode(
  context: Context,
  id: string,
  change: (spec: Record<string, unknown>) => Record<string, unknown>,
): Promise<Row> {
  const node = await fetchRow(context, `/nodes/${encodeURIComponent(id)}`);
  const version = textOf(inner(node, "Version")["Index"]);
  await context.client().call("POST", `/nodes/${textOf(node["ID"])}/update`, {
    query: { version },
    body: change({ ...inner(node, "Spec") }),
  });
  return node;
}

/** "self" stands for the node that answers. */
async function resolveSelf(context: Context, id: string): Promise<string> {
  return id === "self" ? textOf(inner(await fetchRow(context, "/info"), "Swarm")["NodeID"]) : id;
}

export function addNodeCommands(program: Command, context: Context): void {
  const node = program.command("node").description("Manage the nodes of the swarm");
  node
    .command("ls")
    .alias("list")
    .description("List nodes")
    .addOption(listOption("-f, --filter <key=value>", "id, label, node.label, membership, name, role"))
    .option("--format <template>", "a template, table TEMPLATE, or json")
    .option("-q, --quiet", "ids alone")
    .action(async (flags: { filter?: string[]; format?: string; quiet?: boolean }) => {
      const info = await fetchRow(context, "/info");
      const hints = Array.isArray(info["Warnings"]) ? info["Warnings"].map(textOf) : [];
      const forPeople = flags.quiet !== true && flags.format === undefined;
      const nodes = await fetchRows(context, "/nodes", filtersQuery(flags.filter)).catch((error: unknown) => {
        for (const hint of hints) context.note(hint);
        throw error;
      });
      const selfId = textOf(inner(info, "Swarm")["NodeID"]);
      const goal = inner(info, "Swarm", "Cluster", "TLSInfo");
      const marked = flags.quiet !== true && (flags.format === undefined || flags.format.startsWith("table"));
      const rows = nodes
        .map((each) => nodeRow(each, { selfId, marked, goal }))
        .sort((a, b) => textOf(a["Hostname"]).localeCompare(textOf(b["Hostname"]), "en", { numeric: true }));
      printList(context, COLUMNS, rows, { format: flags.format, quiet: flags.quiet, idField: "ID" });
      if (!forPeople) return;
      for (const hint of [...hints, ...nodes.flatMap(trouble)]) context.note(hint);
    });

  node
    .command("inspect")
    .description("Show everything about nodes")
    .argument("<node...>", "ids or names; self: the node that answers")
    .option("-f, --format <template>", "a template")
    .option("--pretty", "for people")
    .action(async (ids: string[], flags: { format?: string; pretty?: boolean }) => {
      await printInspect(context, ids, flags, async (id) =>
        fetchRow(context, `/nodes/${encodeURIComponent(await resolveSelf(context, id))}`),
      );
    });

  addTaskListFlags(
    node
      .command("ps")
      .description("List tasks of nodes")
      .argument("[node...]", "ids or names (default: self)"),
  ).action(async (ids: string[], flags: TaskListFlags) => {
    const wanted = await Promise.all((ids.length > 0 ? ids : ["self"]).map((id) => resolveSelf(context, id)));
    await printTasks(context, { node: wanted }, flags);
  });

  node
    .command("update")
    .description("Change labels, role or availability")
    .argument("<node>")
    .addOption(
      new Option("--availability <availability>", "what the node takes on").choices([
        "active",
        "pause",
        "drain",
      ]),
    )
    .option("--drain-deadline <duration>", "longest wait for successors when it is drained; 0s: the swarm's")
    .addOption(new Option("--role <role>", "what the node is").choices(["worker", "manager"]))
    .addOption(listOption("--label-add <key=value>", "add or change a label"))
    .addOption(listOption("--label-rm <key>", "remove a label"))
    .action(
      async (
        id: string,
        flags: {
          availability?: string;
          drainDeadline?: string;
          role?: string;
          labelAdd?: string[];
          labelRm?: string[];
        },
      ) => {
        await changeNode(context, await resolveSelf(context, id), (spec) => {
          const labels = {
            ...(spec["Labels"] as Record<string, string>),
            ...keyValues(flags.labelAdd ?? []),
          }; // a map of strings
          for (const key of flags.labelRm ?? []) delete labels[key];
          return {
            ...spec,
            Labels: labels,
            Availability: flags.availability ?? spec["Availability"],
            Role: flags.role ?? spec["Role"],
            ...(flags.drainDeadline === undefined
              ? {}
              : { Skein: { DrainDeadline: parseDuration(flags.drainDeadline, "--drain-deadline") } }),
          };
        });
        context.print(id);
      },
    );

  for (const [verb, role] of [
    ["promote", "manager"],
    ["demote", "worker"],
  ] as const) {
    node
      .command(verb)
      .description(verb === "promote" ? "Make nodes managers" : "Make managers workers")
      .argument("<node...>")
      .action(async (ids: string[]) => {
        await forEachName(context, ids, async (id) => {
          const before = await changeNode(context, await resolveSelf(context, id), (spec) => ({
            ...spec,
            Role: role,
          }));
          if (inner(before, "Spec")["Role"] === role) return `Node ${id} is already a ${role}.`;
          return verb === "promote"
            ? `Node ${id} promoted to a manager in the swarm.`
            : `Manager ${id} demoted in the swarm.`;
        });
      });
  }

  node
    .command("rm")
    .alias("remove")
    .description("Remove nodes from the swarm")
    .argument("<node...>")
    .option("-f, --force", "also a node that is not down")
    .action(async (ids: string[], flags: { force?: boolean }) => {
      await forEachName(context, ids, async (id) => {
        await context
          .client()
          .call("DELETE", `/nodes/${encodeURIComponent(id)}`, { query: { force: flags.force ? "1" : "0" } });
        return id;
      });
    });
}
