/**
 * The nft ruleset of the host's namespace: the routing mesh that keeps the client's address,
 * host-mode ports, egress.
 * Pure. Invariants: a change is one transaction and touches only what changed;
 * cost per packet does not grow with services, tasks or peers; nothing outside our own interfaces and
 * published ports is matched.
 * Source: docs/design/network.md, "Mesh": there stands why each rule exists.
 */
import type { MeshPlan, MeshPort } from "../endpoints/mesh-plan.js";
import {
  MESH_MARK_FLAG,
  MESH_MARK_MASK,
  meshMark,
  meshZone,
  transitGateway,
} from "../vxlan/node-addresses.js";
import { transitSubnet, vtepMac } from "../vxlan/transit.js";
import { diffMap, diffSet, NFT_TABLE, randomChoice, removeChain, replaceChain } from "./nft-text.js";

export const TRANSIT_LINK = "skein-vxt";
/** Host ends of the tasks' gateway interfaces begin so. */
export const GATEWAY_LINK_PREFIX = "skg";

const FLAG = `0x${MESH_MARK_FLAG.toString(16)}`;
const MASK = `0x${MESH_MARK_MASK.toString(16)}`;

/**
 * @returns the transaction's text, "" when nothing changed. Without `previous`: the whole table,
 * replacing whatever was there.
 */
export function renderMeshRuleset(previous: MeshPlan | undefined, next: MeshPlan): string {
  if (
    previous === undefined ||
    previous.nodeNumber !== next.nodeNumber ||
    previous.vxlanUdpPort !== next.vxlanUdpPort
  ) {
    const empty: MeshPlan = {
      ...next,
      localAddress: "",
      peers: new Map(),
      ports: [],
      localTasks: [],
      exposed: [],
    };
    return [skeleton(next), ...changes(empty, next)].join("\n");
  }
  return changes(previous, next).join("\n");
}

function skeleton({ nodeNumber, vxlanUdpPort }: MeshPlan): string {
  const gateway = transitGateway(nodeNumber);
  const subnet = transitSubnet(nodeNumber);
  const task = `"${GATEWAY_LINK_PREFIX}*"`;
  const transit = `"${TRANSIT_LINK}"`;
  return `table ${NFT_TABLE}
delete table ${NFT_TABLE}
table ${NFT_TABLE} {
  set nodes { type ipv4_addr; }
  set tasks { type ipv4_addr; elements = { ${gateway} } ; }
  set hairpins { type ipv4_addr . ipv4_addr; }
  set exposed { type ipv4_addr . inet_proto . inet_service; }
  map entry_mark { type ether_addr : mark; }
  map entry_zone { typeof ether saddr : ct zone; }
  map ports { type inet_proto . inet_service : verdict; }
  map node_ports { type inet_proto . inet_service : verdict; }
  chain arrival {
    type filter hook prerouting priority raw; policy accept;
    iifname ${transit} ip daddr 127.0.0.0/8 drop
    iifname ${task} ip daddr 127.0.0.0/8 drop
    iifname ${task} fib saddr . iif oif missing drop
    iifname ${task} ip daddr @nodes udp dport ${vxlanUdpPort} drop
    iifname ${task} fib daddr type local udp dport ${vxlanUdpPort} drop
    iifname ${transit} ct original zone set ether saddr map @entry_zone
  }
  chain entry {
    type filter hook prerouting priority mangle; policy accept;
    iifname ${transit} ct state new ct mark set ether saddr map @entry_mark
    iifname ${task} ct direction reply ct mark and ${FLAG} == ${FLAG} meta mark set ct mark and ${MASK}
  }
  chain own_replies {
    type route hook output priority mangle; policy accept;
    ct mark and ${FLAG} == ${FLAG} meta mark set ct mark and ${MASK}
  }
  chain tunnel {
    type filter hook postrouting priority mangle; policy accept;
    oifname ${transit} meta mark set 0
  }
  chain publish {
    type nat hook prerouting priority dstnat; policy accept;
    iifname ${task} ip daddr @nodes meta l4proto . th dport vmap @ports
    iifname ${task} ip daddr ${gateway} meta l4proto . th dport vmap @ports
    iifname != ${task} fib daddr type local meta l4proto . th dport vmap @ports
    fib daddr type local meta l4proto . th dport vmap @node_ports
  }
  chain publish_own {
    type nat hook output priority -100; policy accept;
    ip daddr @nodes meta l4proto . th dport vmap @ports
    fib daddr type local meta l4proto . th dport vmap @ports
    fib daddr type local meta l4proto . th dport vmap @node_ports
  }
  chain refuse {
    type filter hook prerouting priority filter; policy accept;
    ip daddr ${subnet} ip daddr != @tasks meta l4proto tcp reject with tcp reset
    ip daddr ${subnet} ip daddr != @tasks reject
  }
  chain guard {
    type filter hook forward priority filter; policy accept;
    oifname ${task} ct state new ip daddr . meta l4proto . th dport != @exposed meta l4proto tcp reject with tcp reset
    oifname ${task} ct state new ip daddr . meta l4proto . th dport != @exposed meta l4proto { udp, sctp } reject
    oifname ${task} ct state new meta l4proto != { tcp, udp, sctp } drop
  }
  chain source {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 127.0.0.0/8 oifname ${transit} snat to ${gateway}
    ip saddr 127.0.0.0/8 oifname ${task} snat to ${gateway}
    ip saddr @nodes oifname ${transit} snat to ${gateway}
    iifname ${task} oifname ${task} ct status dnat ip saddr . ip daddr @hairpins snat to ${gateway}
    iifname ${task} oifname != ${task} oifname != ${transit} ct direction original masquerade
  }
}`;
}

function changes(previous: MeshPlan, next: MeshPlan): string[] {
  const before = new Map(previous.ports.map((port) => [chainOf(port), port]));
  const after = new Map(next.ports.map((port) => [chainOf(port), port]));
  const filled: string[] = [];
  const emptied: string[] = [];
  for (const [chain, port] of after) {
    if (port.backends.length === 0) continue;
    const rule = ruleOf(port);
    const old = before.get(chain);
    if (old === undefined || old.backends.length === 0 || ruleOf(old) !== rule)
      filled.push(...replaceChain(chain, [rule]));
  }
  for (const [chain, port] of before) {
    if (port.backends.length > 0 && (after.get(chain)?.backends.length ?? 0) === 0)
      emptied.push(...removeChain(chain));
  }
  const ports = diffMap("ports", portMap(previous, false), portMap(next, false));
  const nodePorts = diffMap("node_ports", portMap(previous, true), portMap(next, true));
  const marks = diffMap("entry_mark", markMap(previous), markMap(next));
  const zones = diffMap("entry_zone", zoneMap(previous), zoneMap(next));
  return [
    ...diffSet("nodes", nodes(previous), nodes(next)),
    ...diffSet("tasks", previous.localTasks, next.localTasks),
    ...diffSet("hairpins", hairpins(previous), hairpins(next)),
    ...diffSet("exposed", exposed(previous), exposed(next)),
    ...marks.removals,
    ...marks.additions,
    ...zones.removals,
    ...zones.additions,
    ...ports.removals,
    ...nodePorts.removals,
    ...filled,
    ...emptied,
    ...ports.additions,
    ...nodePorts.additions,
  ];
}

function ruleOf({ protocol, publishedPort, backends }: MeshPort): string {
  const choice = randomChoice(backends.map(({ address, port }) => `${address} . ${port}`));
  return `${protocol} dport ${publishedPort} dnat to ${choice}`;
}

function chainOf({ protocol, publishedPort }: MeshPort): string {
  return `port_${protocol}_${publishedPort}`;
}

/** Mesh ports are every node's; a node's own lead to it alone, or a task could not reach another node's. */
function portMap(plan: MeshPlan, isNodeOnly: boolean): Map<string, string> {
  const open = plan.ports.filter(
    (port) => port.backends.length > 0 && (port.isNodeOnly ?? false) === isNodeOnly,
  );
  return new Map(open.map((port) => [`${port.protocol} . ${port.publishedPort}`, `goto ${chainOf(port)}`]));
}

function markMap(plan: MeshPlan): Map<string, string> {
  return new Map(
    [...plan.peers.keys()].map((number) => [vtepMac(number), `0x${meshMark(number).toString(16)}`]),
  );
}

function zoneMap(plan: MeshPlan): Map<string, string> {
  return new Map([...plan.peers.keys()].map((number) => [vtepMac(number), String(meshZone(number))]));
}

function nodes(plan: MeshPlan): string[] {
  return [plan.localAddress, ...plan.peers.values()].filter((address) => address !== "");
}

function hairpins(plan: MeshPlan): string[] {
  return plan.localTasks.map((address) => `${address} . ${address}`);
}

function exposed(plan: MeshPlan): string[] {
  return plan.exposed.map(({ address, protocol, port }) => `${address} . ${protocol} . ${port}`);
}
