/**
 * The nft rules of local networks in the host's namespace, for one address family: published ports, who may
 * reach whom, masquerade.
 * Pure. Invariants: a change is one transaction of set elements; the rules themselves never change, so that
 * the cost per packet does not grow with networks, containers or ports; nothing but our own links is matched.
 * Source: docs/design/local-networks.md, "Rules": there stands why each exists.
 */
import { diffMap, diffSet } from "../balance/nft-text.js";

export type Family = 4 | 6;

export interface FirewallNetwork {
  readonly link: string;
  /** "172.17.0.0/16" */
  readonly subnet: string;
  /** No way out, no way in. */
  readonly internal: boolean;
  readonly masquerade: boolean;
  /** The outside may open connections to any port. */
  readonly open: boolean;
}

export interface FirewallPort {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** "" for all addresses of the host. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly address: string;
  readonly port: number;
  /** Reached by its own address instead of the host's. */
  readonly routed: boolean;
}

export interface FirewallPlan {
  readonly networks: readonly FirewallNetwork[];
  readonly ports: readonly FirewallPort[];
}

export const EMPTY_PLAN: FirewallPlan = { networks: [], ports: [] };

export function tableOf(family: Family): string {
  return family === 4 ? "ip skein_net" : "ip6 skein_net";
}

/** @returns the transaction's text; "" when nothing changed. Without `previous`: the whole table anew. */
export function renderLocalRuleset(
  family: Family,
  previous: FirewallPlan | undefined,
  next: FirewallPlan,
): string {
  if (previous === undefined) return [skeleton(family), ...changes(family, EMPTY_PLAN, next)].join("\n");
  return changes(family, previous, next).join("\n");
}

function skeleton(family: Family): string {
  const table = tableOf(family);
  const word = family === 4 ? "ip" : "ip6";
  const address = family === 4 ? "ipv4_addr" : "ipv6_addr";
  const loopback = family === 4 ? "127.0.0.0/8" : "::1";
  const target = `${word} addr . port`;
  return `table ${table}
delete table ${table}
table ${table} {
  set links { type ifname; }
  set internal { type ifname; }
  set masqueraded { type ifname; }
  set open { type ifname; }
  set same { type ifname . ifname; }
  set homes { type ifname . ${address}; flags interval; }
  set routed { type ${address} . inet_proto . inet_service; }
  map ports { type inet_proto . inet_service : ${address} . inet_service; }
  map ports_at { type ${address} . inet_proto . inet_service : ${address} . inet_service; }
  chain arrival {
    type filter hook prerouting priority raw; policy accept;
    iifname @links ${word} daddr ${loopback} drop
  }
  chain publish {
    type nat hook prerouting priority dstnat; policy accept;
    iifname != "lo" ${word} daddr ${loopback} accept
    fib daddr type local meta l4proto { tcp, udp, sctp } jump published
  }
  chain publish_own {
    type nat hook output priority -100; policy accept;
    ${family === 6 ? `${word} daddr ${loopback} accept` : ""}
    fib daddr type local meta l4proto { tcp, udp, sctp } jump published
  }
  chain published {
    dnat ${target} to ${word} daddr . meta l4proto . th dport map @ports_at
    dnat ${target} to meta l4proto . th dport map @ports
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname @internal iifname . oifname != @same drop
    oifname @links jump towards
  }
  chain towards {
    iifname . oifname @same accept
    oifname @internal drop
    ct state established,related accept
    ct status dnat accept
    ${word} daddr . meta l4proto . th dport @routed accept
    iifname != @links oifname @open accept
    drop
  }
  chain source {
    type nat hook postrouting priority srcnat; policy accept;
    ${family === 4 ? `${word} saddr ${loopback} oifname @links masquerade` : ""}
    oifname . ${word} saddr @homes ct status dnat masquerade
    oifname . ${word} saddr @homes accept
    iifname @masqueraded masquerade
  }
}`;
}

function changes(family: Family, previous: FirewallPlan, next: FirewallPlan): string[] {
  const table = tableOf(family);
  const set = (name: string, elements: (plan: FirewallPlan) => string[]): string[] =>
    diffSet(name, elements(previous), elements(next), table);
  const links = (wanted: (network: FirewallNetwork) => boolean) => (plan: FirewallPlan) =>
    plan.networks.filter(wanted).map(({ link }) => `"${link}"`);
  const ports = diffMap("ports", portMap(previous, false), portMap(next, false), table);
  const portsAt = diffMap("ports_at", portMap(previous, true), portMap(next, true), table);
  return [
    ...set(
      "links",
      links(() => true),
    ),
    ...set(
      "internal",
      links(({ internal }) => internal),
    ),
    ...set(
      "masqueraded",
      links(({ internal, masquerade }) => masquerade && !internal),
    ),
    ...set(
      "open",
      links(({ internal, open }) => open && !internal),
    ),
    ...set("same", (plan) => plan.networks.map(({ link }) => `"${link}" . "${link}"`)),
    ...set("homes", (plan) => plan.networks.map(({ link, subnet }) => `"${link}" . ${subnet}`)),
    ...set("routed", (plan) =>
      plan.ports
        .filter(({ routed }) => routed)
        .map(({ address, protocol, port }) => `${address} . ${protocol} . ${port}`),
    ),
    ...ports.removals,
    ...portsAt.removals,
    ...ports.additions,
    ...portsAt.additions,
  ];
}

function portMap(plan: FirewallPlan, isAtAddress: boolean): Map<string, string> {
  const map = new Map<string, string>();
  for (const { routed, hostAddress, protocol, hostPort, address, port } of plan.ports) {
    if (routed || (hostAddress !== "") !== isAtAddress) continue;
    const key = `${protocol} . ${hostPort}`;
    map.set(isAtAddress ? `${hostAddress} . ${key}` : key, `${address} . ${port}`);
  }
  return map;
}
