/**
 * `skein net verify`: whether every node's network is what the cluster says. Edge: to the API.
 */
import type { Command } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type Context, fetchRow, inner, textOf } from "../context.js";
import type { Row } from "../output/table.js";

/** Something differs, or a node did not answer. */
const EXIT_DIFFERS = 1;
/** Repaired differences of a node that are shown. */
const REPAIRED_SHOWN = 5;

const HELP = `
Every node compares its links, addresses, routes, rules, neighbours, settings and nftables with what it was told,
repairs what differs, and says so; what nodes were told is compared between them. Nodes that are known to be down are
not asked. The exit code is 0 when all is well, else 1.

Examples:
  skein net verify                         yes: revision 4711 on all 3 nodes
  skein net verify --node host2            that node alone
  skein net verify --format json           with counts, repaired differences, and states between nodes`;

export function addNetCommands(program: Command, context: Context): void {
  program
    .command("net")
    .description("Look at the network of the swarm's nodes")
    .command("verify")
    .description("Compare every node's network with what the cluster says")
    .option("--node <node>", "one node alone: its id or hostname")
    .option("--format <format>", "text or json", "text")
    .addHelpText("after", HELP)
    .action(async (flags: { node?: string; format: string }) => {
      if (flags.format !== "text" && flags.format !== "json")
        throw new InvalidArgumentError(`--format must be text or json, got ${JSON.stringify(flags.format)}`);
      const query = flags.node === undefined ? "" : `?node=${encodeURIComponent(flags.node)}`;
      const verdict = await fetchRow(context, `/skein/v1/net/verify${query}`);
      context.print(flags.format === "json" ? JSON.stringify(verdict, undefined, 2) : verdictText(verdict));
      if (verdict["Good"] !== true) process.exitCode = EXIT_DIFFERS;
    });
}

export function verdictText(verdict: Row): string {
  const nodes = (verdict["Nodes"] as readonly Row[] | undefined) ?? [];
  const lines: string[] = [];
  const count = `${nodes.length} node${nodes.length === 1 ? "" : "s"}`;
  const bad = nodes.filter((node) => listOf(node["Problems"]).length > 0);
  lines.push(
    verdict["Good"] === true
      ? `yes: revision ${textOf(verdict["Revision"])} on ${nodes.length === 1 ? "" : "all "}${count}`
      : `no: ${bad.length} of ${count} differ`,
  );
  for (const node of nodes) {
    for (const problem of listOf(node["Problems"])) lines.push(`${textOf(node["Hostname"])}: ${problem}`);
    const repaired = listOf(inner(node, "Report")["Repaired"]);
    for (const words of repaired.slice(-REPAIRED_SHOWN))
      lines.push(`${textOf(node["Hostname"])}: repaired: ${words}`);
  }
  return lines.join("\n");
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(textOf) : [];
}
