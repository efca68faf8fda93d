/**
 * The nft ruleset of the host's namespace: the routing mesh that keeps the client's address,
 * host-mode ports, egress. A table per family, rendered alike.
 * Pure. Invariants: a change is one transaction and touches only what changed; a port that is the same object
 * in both plans is not looked at.
 * Source: docs/design/network.md, "Mesh", and network-ingress.md.
 */
import type { MeshPlan, MeshPort } from "../endpoints/mesh-plan.js";
import { meshMark, meshZone } from "../vxlan/node-addresses.js";
import { vtepMac } from "../vxlan/transit.js";
import type { MeshFamily } from "./mesh-family.js";
import { MESH_IPV4 } from "./mesh-family.js";
import { frameChains, renderFrame, versionChain } from "./mesh-frame.js";
import type { PortChain } from "./mesh-port-rules.js";
import { chainOf, chainsOfPort } from "./mesh-port-rules.js";
import { diffMap, diffSet, removeChain, replaceChain } from "./nft-text.js";

/** Backends and chains that one slice of a fill holds: some milliseconds for nft to take in. */
const SLICE_WEIGHT = 250;

/**
 * @returns the transaction's text, "" when nothing changed. Without `previous`: the whole table,
 * replacing whatever was there.
 */
export function renderMeshRuleset(
  previous: MeshPlan | undefined,
  next: MeshPlan,
  family: MeshFamily = MESH_IPV4,
): string {
  if (previous === undefined || !isSameFrame(previous, next)) {
    return [...renderHead(next, family), ...changes(emptied(next), next, family)].join("\n");
  }
  return changes(previous, next, family).join("\n");
}

/**
 * The whole table in several transactions, for a kernel whose state is not known: chains first, the maps that
 * lead to them last, so that a port that was open and stays so has its rules at every moment.
 * @param options.chains those of the table in the kernel; undefined: there is no table, or one whose frame
 * differs, which is replaced.
 */
export function* renderMeshFill(
  next: MeshPlan,
  options: { readonly chains: ReadonlySet<string> | undefined; readonly family?: MeshFamily },
): Generator<string, void> {
  const { chains, family = MESH_IPV4 } = options;
  const { table } = family;
  const frame = chains === undefined ? renderHead(next, family) : renderFrame(next, family);
  yield [
    ...frame,
    ...SETS.map(([kind, name]) => `flush ${kind} ${table} ${name}`),
    gatewayElement(next, family),
    ...renderSets(emptied(next), next, family),
  ].join("\n");
  const wanted = new Set([...frameChains(next, family), versionChain(next, family)]);
  const added: Record<PortMap, MeshPort[]> = { ports: [], node_ports: [] };
  let lines: string[] = [];
  let weight = 0;
  for (const port of next.ports) {
    const own = chainsOfPort(port, next, family);
    if (own.length > 0) added[mapOf(port)].push(port);
    for (const chain of own) {
      wanted.add(chain.name);
      lines.push(...replaceChain(chain.name, chain.rules, table));
      weight += chain.weight;
    }
    if (weight < SLICE_WEIGHT) continue;
    yield lines.join("\n");
    lines = [];
    weight = 0;
  }
  if (lines.length > 0) yield lines.join("\n");
  const flushed = PORT_MAPS.map((map) => `flush map ${table} ${map}`);
  yield [...flushed, ...mapTexts("add", added, family)].join("\n");
  // what leads to another chain goes first
  const stale = [...(chains ?? [])].filter((chain) => !wanted.has(chain)).sort();
  for (let at = 0; at < stale.length; at += SLICE_WEIGHT) {
    yield stale
      .slice(at, at + SLICE_WEIGHT)
      .flatMap((chain) => removeChain(chain, table))
      .join("\n");
  }
}

/** Whether one may be changed into the other: the frame holds number and port. */
export function isSameFrame(a: MeshPlan, b: MeshPlan): boolean {
  return a.nodeNumber === b.nodeNumber && a.vxlanUdpPort === b.vxlanUdpPort;
}

function emptied(plan: MeshPlan): MeshPlan {
  return { ...plan, peers: new Map(), nodeAddresses: [], ports: [], localTasks: [], exposed: [] };
}

function renderHead(plan: MeshPlan, family: MeshFamily): string[] {
  const { table } = family;
  return [
    `table ${table}`,
    `delete table ${table}`,
    ...renderFrame(plan, family),
    `add chain ${table} ${versionChain(plan, family)}`,
    gatewayElement(plan, family),
  ];
}

/** The node itself answers on its transit address. */
function gatewayElement(plan: MeshPlan, { table, gatewayOf }: MeshFamily): string {
  return `add element ${table} tasks { ${gatewayOf(plan.nodeNumber)} }`;
}

function changes(previous: MeshPlan, next: MeshPlan, family: MeshFamily): string[] {
  const ports = portTexts(portChanges(previous, next, family), family);
  return [...renderSets(previous, next, family), ...ports.removed, ...ports.filled, ...ports.added];
}

/** What changes of ports, in the order in which it is to happen. */
export interface PortChanges {
  /** Elements by map: a port that leads nowhere any more, or elsewhere. */
  readonly removed: Readonly<Record<PortMap, readonly MeshPort[]>>;
  readonly filled: readonly PortChain[];
  /** Names of chains. */
  readonly freed: readonly string[];
  readonly added: Readonly<Record<PortMap, readonly MeshPort[]>>;
}

export type PortMap = "ports" | "node_ports";
export const PORT_MAPS: readonly PortMap[] = ["ports", "node_ports"];

/** Both plans have the same frame. */
export function portChanges(previous: MeshPlan, next: MeshPlan, family: MeshFamily): PortChanges {
  const before = new Map(previous.ports.map((port) => [chainOf(port), port]));
  const after = new Map(next.ports.map((port) => [chainOf(port), port]));
  const changed: { old: MeshPort | undefined; now: MeshPort | undefined }[] = [];
  for (const [key, now] of after) {
    const old = before.get(key);
    if (old !== now) changed.push({ old, now });
  }
  for (const [key, old] of before) if (!after.has(key)) changed.push({ old, now: undefined });
  const filled: PortChain[] = [];
  const freed: string[] = [];
  const removed: Record<PortMap, MeshPort[]> = { ports: [], node_ports: [] };
  const added: Record<PortMap, MeshPort[]> = { ports: [], node_ports: [] };
  for (const { old, now } of changed) {
    const had = old === undefined ? [] : chainsOfPort(old, previous, family);
    const has = now === undefined ? [] : chainsOfPort(now, next, family);
    filled.push(...has.filter(({ name, rules }) => !isSame(had, name, rules)));
    const names = new Set(has.map(({ name }) => name));
    for (const { name } of [...had].reverse()) if (!names.has(name)) freed.push(name);
    const from = old === undefined || had.length === 0 ? undefined : mapOf(old);
    const to = now === undefined || has.length === 0 ? undefined : mapOf(now);
    if (from === to) continue;
    if (old !== undefined && from !== undefined) removed[from].push(old);
    if (now !== undefined && to !== undefined) added[to].push(now);
  }
  return { removed, filled, freed, added };
}

interface PortTexts {
  readonly removed: readonly string[];
  readonly filled: readonly string[];
  readonly added: readonly string[];
}

function portTexts({ removed, filled, freed, added }: PortChanges, family: MeshFamily): PortTexts {
  const { table } = family;
  return {
    removed: mapTexts("delete", removed, family),
    filled: [
      ...filled.flatMap(({ name, rules }) => replaceChain(name, rules, table)),
      ...freed.flatMap((name) => removeChain(name, table)),
    ],
    added: mapTexts("add", added, family),
  };
}

function mapTexts(verb: "add" | "delete", ports: PortChanges["added"], { table }: MeshFamily): string[] {
  const text = (port: MeshPort): string => {
    const key = `${port.protocol} . ${port.publishedPort}`;
    return verb === "delete" ? key : `${key} : goto ${chainOf(port)}`;
  };
  return PORT_MAPS.filter((map) => ports[map].length > 0).map(
    (map) => `${verb} element ${table} ${map} { ${ports[map].map(text).join(", ")} }`,
  );
}

function isSame(chains: readonly PortChain[], name: string, rules: readonly string[]): boolean {
  const found = chains.find((chain) => chain.name === name);
  return found?.rules.join("\n") === rules.join("\n");
}

/** Mesh ports are every node's; a node's own lead to it alone, or a task could not reach another node's. */
function mapOf(port: MeshPort): PortMap {
  return port.isNodeOnly === true ? "node_ports" : "ports";
}

/** Sets and maps of the frame but those of ports, in the order in which a fill empties them. */
const SETS = [
  ["set", "nodes"],
  ["set", "tasks"],
  ["set", "hairpins"],
  ["set", "exposed"],
  ["map", "entry_mark"],
  ["map", "entry_zone"],
] as const;

/** Lines that change all but ports; none when all is as it was. Both plans have the same frame. */
export function renderSets(previous: MeshPlan, next: MeshPlan, family: MeshFamily): string[] {
  const { table } = family;
  const lines = [
    ...(previous.nodeAddresses === next.nodeAddresses
      ? []
      : diffSet("nodes", nodes(previous, family), nodes(next, family), table)),
    ...diffSet("tasks", tasks(previous, family), tasks(next, family), table),
    ...diffSet("hairpins", hairpins(previous, family), hairpins(next, family), table),
    ...diffSet("exposed", exposed(previous, family), exposed(next, family), table),
  ];
  if (previous.peers === next.peers) return lines;
  const marks = diffMap("entry_mark", markMap(previous), markMap(next), table);
  const zones = diffMap("entry_zone", zoneMap(previous), zoneMap(next), table);
  return [...lines, ...marks.removals, ...marks.additions, ...zones.removals, ...zones.additions];
}

function markMap(plan: MeshPlan): Map<string, string> {
  return new Map(
    [...plan.peers.keys()].map((number) => [vtepMac(number), `0x${meshMark(number).toString(16)}`]),
  );
}

function zoneMap(plan: MeshPlan): Map<string, string> {
  return new Map([...plan.peers.keys()].map((number) => [vtepMac(number), String(meshZone(number))]));
}

function nodes(plan: MeshPlan, family: MeshFamily): string[] {
  return plan.nodeAddresses.filter((address) => family.isOwn(address));
}

function tasks(plan: MeshPlan, family: MeshFamily): string[] {
  return plan.localTasks.map(family.transitOf);
}

function hairpins(plan: MeshPlan, family: MeshFamily): string[] {
  return tasks(plan, family).map((address) => `${address} . ${address}`);
}

function exposed(plan: MeshPlan, family: MeshFamily): string[] {
  return plan.exposed.map(
    ({ address, protocol, port }) => `${family.transitOf(address)} . ${protocol} . ${port}`,
  );
}
