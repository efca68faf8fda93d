/**
 * The part of the mesh's ruleset that is the same whatever is published: sets, maps and base chains.
 * Pure. Invariants: cost per packet does not grow with services, tasks or peers; nothing outside our own
 * interfaces, our transit subnet and published ports is matched.
 * Source: docs/design/network.md, "Mesh", and network-ingress.md: there stands why each rule exists.
 */
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import { MESH_MARK_FLAG, MESH_MARK_MASK } from "../vxlan/node-addresses.js";
import type { MeshFamily } from "./mesh-family.js";
import { REFUSED_CHAIN, REFUSED_RULES } from "./nft-text.js";

export const TRANSIT_LINK = "skein-vxt";
/** Host ends of the tasks' gateway interfaces begin so. */
export const GATEWAY_LINK_PREFIX = "skg";

/**
 * Set on the first packet of a connection to a port with SNAT, from the port's chain to `source`, within this
 * host. Bit 31: outside the mesh's mark.
 */
export const SNAT_MARK = "0x80000000";

const FLAG = `0x${MESH_MARK_FLAG.toString(16)}`;
const MASK = `0x${MESH_MARK_MASK.toString(16)}`;

/**
 * Lines that make the frame, or make it anew where it is: base chains come out as said, sets and maps keep
 * their elements.
 */
export function renderFrame(plan: MeshPlan, family: MeshFamily): string[] {
  const { table } = family;
  const lines = [`add table ${table}`];
  const chains = [...chainsOf(plan, family)];
  for (const [name, declaration] of setsOf(family))
    lines.push(`add ${declaration[0]} ${table} ${name} ${declaration[1]}`);
  for (const { name, hook } of chains)
    lines.push(`add chain ${table} ${name}${hook === "" ? "" : ` { ${hook} ; }`}`);
  for (const { name, rules } of chains)
    lines.push(`flush chain ${table} ${name}`, ...rules.map((rule) => `add rule ${table} ${name} ${rule}`));
  return lines;
}

/** Names of the frame's chains: all others are ports'. */
export function frameChains(plan: MeshPlan, family: MeshFamily): string[] {
  return chainsOf(plan, family).map(({ name }) => name);
}

/** A chain without rules whose name tells one frame from another: an older version's, another node number's. */
export function versionChain(plan: MeshPlan, family: MeshFamily): string {
  let hash = 0x811c_9dc5; // FNV-1a
  for (const char of renderFrame(plan, family).join("\n")) {
    hash = Math.imul(hash ^ char.charCodeAt(0), 0x0100_0193) >>> 0;
  }
  return `v_${hash.toString(16)}`;
}

function setsOf({ addressType }: MeshFamily): [string, ["set" | "map", string]][] {
  return [
    ["nodes", ["set", `{ type ${addressType} ; }`]],
    ["tasks", ["set", `{ type ${addressType} ; }`]],
    ["hairpins", ["set", `{ type ${addressType} . ${addressType} ; }`]],
    ["exposed", ["set", `{ type ${addressType} . inet_proto . inet_service ; }`]],
    ["entry_mark", ["map", "{ type ether_addr : mark ; }"]],
    ["entry_zone", ["map", "{ typeof ether saddr : ct zone ; }"]],
    ["ports", ["map", "{ type inet_proto . inet_service : verdict ; }"]],
    ["node_ports", ["map", "{ type inet_proto . inet_service : verdict ; }"]],
  ];
}

interface FrameChain {
  readonly name: string;
  readonly hook: string;
  readonly rules: readonly string[];
}

function chainsOf({ nodeNumber, vxlanUdpPort }: MeshPlan, family: MeshFamily): FrameChain[] {
  const { word, loopback } = family;
  const gateway = family.gatewayOf(nodeNumber);
  const subnet = family.subnetOf(nodeNumber);
  const task = `"${GATEWAY_LINK_PREFIX}*"`;
  const transit = `"${TRANSIT_LINK}"`;
  const hook = (type: string, where: string, priority: string): string =>
    `type ${type} hook ${where} priority ${priority} ; policy accept`;
  return [
    {
      name: REFUSED_CHAIN,
      hook: "",
      rules: REFUSED_RULES,
    },
    {
      name: "arrival",
      hook: hook("filter", "prerouting", "raw"),
      rules: [
        `iifname ${transit} ${word} daddr ${loopback} drop`,
        `iifname ${task} ${word} daddr ${loopback} drop`,
        // by the mesh alone, or who may use a port and where it is open would be for nothing
        `${word} daddr ${subnet} iifname != ${task} iifname != ${transit} iifname != "lo" drop`,
        ...family.arrivalOf(task),
        `iifname ${task} fib saddr . iif oif missing drop`,
        `iifname ${task} ${word} daddr @nodes udp dport ${vxlanUdpPort} drop`,
        `iifname ${task} fib daddr type local udp dport ${vxlanUdpPort} drop`,
        `iifname ${transit} ct original zone set ether saddr map @entry_zone`,
      ],
    },
    {
      name: "entry",
      hook: hook("filter", "prerouting", "mangle"),
      rules: [
        `iifname ${transit} ct state new ct mark set ether saddr map @entry_mark`,
        `iifname ${task} ct direction reply ct mark and ${FLAG} == ${FLAG} meta mark set ct mark and ${MASK}`,
      ],
    },
    {
      name: "own_replies",
      hook: hook("route", "output", "mangle"),
      rules: [`ct mark and ${FLAG} == ${FLAG} meta mark set ct mark and ${MASK}`],
    },
    {
      name: "tunnel",
      hook: hook("filter", "postrouting", "srcnat + 10"),
      rules: [`oifname ${transit} meta mark set 0`],
    },
    {
      name: "publish",
      hook: hook("nat", "prerouting", "dstnat"),
      rules: [
        `iifname ${task} ${word} daddr @nodes meta l4proto . th dport vmap @ports`,
        `iifname ${task} ${word} daddr ${gateway} meta l4proto . th dport vmap @ports`,
        `iifname != ${task} fib daddr type local meta l4proto . th dport vmap @ports`,
        "fib daddr type local meta l4proto . th dport vmap @node_ports",
      ],
    },
    {
      name: "publish_own",
      hook: hook("nat", "output", "-100"),
      rules: [
        `${word} daddr @nodes meta l4proto . th dport vmap @ports`,
        "fib daddr type local meta l4proto . th dport vmap @ports",
        "fib daddr type local meta l4proto . th dport vmap @node_ports",
      ],
    },
    {
      name: "refuse",
      hook: hook("filter", "prerouting", "filter"),
      rules: [`${word} daddr ${subnet} ${word} daddr != @tasks goto ${REFUSED_CHAIN}`],
    },
    {
      name: "strangers",
      hook: "",
      rules: [`oifname ${transit} goto ${REFUSED_CHAIN}`, `oifname ${task} goto ${REFUSED_CHAIN}`],
    },
    {
      name: "guard",
      hook: hook("filter", "forward", "filter"),
      rules: [
        // clients and tasks do not know what passes between nodes
        `oifname ${transit} tcp flags syn tcp option maxseg size set rt mtu`,
        // a task reaches another by the mesh or an overlay, never by its transit address
        `iifname ${task} ct state new ct status & dnat == 0 jump strangers`,
        `oifname ${task} ct state new meta l4proto != { tcp, udp, sctp } drop`,
        `oifname ${task} ct state new ${word} daddr . meta l4proto . th dport != @exposed goto ${REFUSED_CHAIN}`,
      ],
    },
    {
      name: "source",
      hook: hook("nat", "postrouting", "srcnat"),
      rules: [
        `meta mark and ${SNAT_MARK} == ${SNAT_MARK} snat to ${gateway}`,
        `${word} saddr ${loopback} oifname ${transit} snat to ${gateway}`,
        `${word} saddr ${loopback} oifname ${task} snat to ${gateway}`,
        `${word} saddr @nodes oifname ${transit} snat to ${gateway}`,
        `iifname ${task} oifname ${task} ct status dnat ${word} saddr . ${word} daddr @hairpins snat to ${gateway}`,
        `iifname ${task} oifname != ${task} oifname != ${transit} ct direction original masquerade`,
      ],
    },
  ];
}
