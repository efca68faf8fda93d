/**
 * Breaks one entry of a node's network by hand, and looks whether it is told by its name and repaired.
 * Edge: to the kernel, by ip(8), bridge(8) and nft(8) as tools that are not what is tested.
 */
import type { AuditReport } from "../../net-overlay/audit/audit-report.js";
import type { NetworkBreak } from "./network-breaks.js";
import { patient } from "./patience.js";
import type { PublishedWorld } from "./published-world.js";

/** It takes some hundred milliseconds; on a busy machine more. What is not heard would take half a minute. */
const REPAIR_MS_MAX = 10_000;
const GREETING = /^task/;

export async function auditReportOf({ host }: PublishedWorld): Promise<AuditReport | undefined> {
  return (await host.plane.inspect?.())?.report;
}

/** @returns what is wrong; empty: it was told and repaired, and both ways serve. */
export async function breakAndRepair(published: PublishedWorld, row: NetworkBreak): Promise<string[]> {
  const { place, kind, commands } = row;
  const { host, ground, netnsOf, world } = published;
  const before = await stateOf(published, place);
  const known = (await auditReportOf(published))?.differencesByKind[kind] ?? 0;
  const { out, code } = await world.run(netnsOf(place), "sh", "-c", commands(ground));
  if (code !== 0) return [`it could not be broken: ${out}`];
  const startMs = performance.now();
  // a task's own namespace is looked at now and then, others when something is heard
  if (place === "task") await auditReportOf(published);
  let diff = ["not looked at"];
  while (diff.length > 0 && performance.now() - startMs < patient(REPAIR_MS_MAX))
    diff = diffOf(before, await stateOf(published, place));
  const problems = diff.map((line) => `not repaired: ${line}`);
  if (diff.length > 0) problems.push(...host.log.lines.slice(-4).map((line) => JSON.stringify(line)));
  const report = await auditReportOf(published);
  if ((report?.differencesByKind[kind] ?? 0) <= known) problems.push(`no ${kind} was told`);
  problems.push(...(report?.standing ?? []).map((each) => `it stands: ${JSON.stringify(each)}`));
  if (!GREETING.test(await published.askMesh())) problems.push("the mesh does not serve");
  if (!GREETING.test(await published.askVip())) problems.push("the VIP does not serve");
  return problems;
}

/** Listings of everything of a place that can be listed, in an order of its own. */
async function stateOf({ world, netnsOf }: PublishedWorld, place: NetworkBreak["place"]): Promise<string[]> {
  const script = [
    "ip -o -d link | sed 's/^[0-9]*: //; s/@[^:]*//; s/link-netns.*//; s/promiscuity.*//' | sort",
    "ip -4 -o addr | sed 's/^[0-9]*: //' | sort",
    "ip -4 route show table all | sed 's/ proto [^ ]*//' | sort", // the kernel may be quicker with its own
    "ip rule",
    "ip neigh show nud permanent | sort",
    "bridge fdb | sort",
    "nft -s list ruleset",
  ].join("; ");
  // ip(8) complains of namespaces of others that end just then
  const { out } = await world.run(netnsOf(place), "sh", "-c", `(${script}) 2>/dev/null`);
  return out.split("\n");
}

/** Lines that only one of them has. */
function diffOf(before: readonly string[], now: readonly string[]): string[] {
  const [old, fresh] = [new Set(before), new Set(now)];
  return [
    ...before.filter((line) => !fresh.has(line)).map((line) => `gone: ${line}`),
    ...now.filter((line) => !old.has(line)).map((line) => `new: ${line}`),
  ];
}
