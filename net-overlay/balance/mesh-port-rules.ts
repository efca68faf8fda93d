/**
 * The chains of one published port: where it is open, for whom, and which task a connection gets.
 * Pure. Invariants: a list that has nothing of this family, or nothing at all, closes the port or refuses
 * everybody, it never opens wider; a rule that admits says what must match, so that what the kernel cannot
 * tell (no interface: the node's own packets) is not admitted.
 * Source: docs/design/network-ingress.md, "Ports".
 */

import { BalancePolicy } from "../../proto/gen/skein/v1/types.js";
import type { MeshPlan, MeshPort } from "../endpoints/mesh-plan.js";
import { cidrContains, formatCidr, parseCidr } from "../ipam/cidr.js";
import { isAddress } from "../ipam/host-addresses.js";
import { isTransitAddressOf } from "../vxlan/transit.js";
import type { MeshFamily } from "./mesh-family.js";
import { SNAT_MARK } from "./mesh-frame.js";
import type { BackendChoice } from "./nft-text.js";
import { choiceText, chooseAmong, REFUSED_CHAIN } from "./nft-text.js";

export interface PortChain {
  readonly name: string;
  readonly rules: readonly string[];
  /** What nft has to take in: the chain and its backends. */
  readonly weight: number;
  /** When this is all that the chain does, so that it need not be said in text: each `address . port`. */
  readonly choice?: BackendChoice;
}

/** Where the map of ports leads to. */
export function chainOf({ protocol, publishedPort }: MeshPort): string {
  return `port_${protocol}_${publishedPort}`;
}

/** A chain that a port has only when it is not open on every address. */
export function innerChainOf({ protocol, publishedPort }: MeshPort): string {
  return `to_${protocol}_${publishedPort}`;
}

/** In the order in which they may be made; none: the port is closed in this family. */
export function chainsOfPort(port: MeshPort, plan: MeshPlan, family: MeshFamily): PortChain[] {
  const targets = targetsOf(port, family);
  if (targets.length === 0) return [];
  const choice = choiceOf(port, targets, plan, family);
  const { protocol, publishedPort } = port;
  const rules = [
    ...admission(port, family),
    ...(port.isSnat === true ? [`meta mark set meta mark or ${SNAT_MARK}`] : []),
    `${protocol} dport ${publishedPort} dnat to ${choiceText(choice, family.word)}`,
  ];
  const gates = gatesOf(port, family);
  const plain = { weight: 1 + targets.length, ...(rules.length === 1 ? { choice } : {}) };
  if (gates === undefined) return [{ name: chainOf(port), rules, ...plain }];
  if (gates.length === 0) return [];
  const inner = innerChainOf(port);
  return [
    { name: inner, rules, ...plain },
    { name: chainOf(port), rules: gates.map((gate) => `${gate} goto ${inner}`), weight: 1 },
  ];
}

function targetsOf({ backends, relay }: MeshPort, family: MeshFamily): string[] {
  if (backends.length === 0) return [];
  return (relay === undefined ? backends.filter((each) => family.reaches(each)) : [relay]).map(
    ({ address, port }) => `${family.transitOf(address)} . ${port}`,
  );
}

/** What lets a packet through; undefined: everything does. */
function gatesOf({ hostAddresses }: MeshPort, family: MeshFamily): string[] | undefined {
  if (hostAddresses === undefined || hostAddresses.includes(family.wildcard)) return undefined;
  const addresses = hostAddresses.filter((place) => family.isOwn(place));
  const names = hostAddresses.filter((place) => !isAddress(place));
  return [
    ...(addresses.length === 0 ? [] : [`${family.word} daddr { ${addresses.join(", ")} }`]),
    ...(names.length === 0 ? [] : [`iifname { ${names.map((name) => `"${name}"`).join(", ")} }`]),
  ];
}

function admission({ allowedSources }: MeshPort, family: MeshFamily): string[] {
  if (allowedSources === undefined) return [];
  const subnets = disjoint(allowedSources.filter((subnet) => family.isOwn(subnet.split("/")[0] ?? "")));
  if (subnets.length === 0) return [`goto ${REFUSED_CHAIN}`];
  if (subnets.some((subnet) => subnet.endsWith("/0"))) return [];
  return [`${family.word} saddr != { ${subnets.join(", ")} } goto ${REFUSED_CHAIN}`];
}

function choiceOf(
  port: MeshPort,
  targets: readonly string[],
  plan: MeshPlan,
  family: MeshFamily,
): BackendChoice {
  const { balance = BalancePolicy.ROUND_ROBIN, backends, relay } = port;
  if (relay !== undefined || balance !== BalancePolicy.LOCAL_FIRST)
    return chooseAmong(balance, targets, new Set());
  const here = backends.filter(
    (each) => family.reaches(each) && isTransitAddressOf(plan.nodeNumber, each.address),
  );
  const local = here.map((backend) => `${family.transitOf(backend.address)} . ${backend.port}`);
  return chooseAmong(balance, targets, new Set(local));
}

/** Subnets without host bits, none of which lies in another: nft refuses sets that overlap. */
export function disjoint(subnets: readonly string[]): string[] {
  const parsed = subnets.map(parseCidr).sort((a, b) => a.prefix - b.prefix);
  const kept: typeof parsed = [];
  for (const subnet of parsed) {
    const address = { family: subnet.family, value: subnet.base };
    if (!kept.some((wider) => cidrContains(wider, address))) kept.push(subnet);
  }
  return kept.map(formatCidr);
}
