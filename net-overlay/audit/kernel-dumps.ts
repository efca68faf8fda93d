/**
 * Dumps of routing tables as facts of the audit, both families. Pure.
 * Invariant: an answer that says nothing the audit can want (multicast, other tables of neighbours, routes
 * the kernel made for addresses) gives no fact.
 * Source: rtnetlink(7); linux/if_link.h, neighbour.h, fib_rules.h.
 */
import { decodePayload, encodeMessage, NLM_F_DUMP, readIp, readMac } from "../dataplane/rtnetlink-codec.js";
import { decodeLink, decodeRule, SKEIN_PROTOCOL } from "../dataplane/rtnetlink-messages.js";
import type { FoundFact } from "./compare.js";
import type { FactKind } from "./facts.js";

const GET = { link: 18, address: 22, route: 26, neighbour: 30, rule: 34 } as const;
const AF = { any: 0, inet: 2, bridge: 7, inet6: 10 } as const;
const FIXED_BYTES = { link: 16, address: 8, route: 12, neighbour: 12, rule: 12 } as const;
const IFF_UP = 1;
const NUD_PERMANENT = 0x80;
const RT_TABLE_MAIN = 254;
const RTN = { unicast: 1, unreachable: 7 } as const;
const IFA_LOCAL = 2;
const RTA = { dst: 1, oif: 4, gateway: 5, prefSrc: 7, table: 15 } as const;
const NDA = { dst: 1, lladdr: 2 } as const;

export type DumpedKind = Exclude<FactKind, "setting">;

/** The requests that together give all of a kind. */
export function dumpsOf(kind: DumpedKind): Uint8Array[] {
  switch (kind) {
    case "link":
      return [dump(GET.link, FIXED_BYTES.link, AF.any)];
    case "address":
      return [AF.inet, AF.inet6].map((family) => dump(GET.address, FIXED_BYTES.address, family));
    case "route":
      return [AF.inet, AF.inet6].map((family) => dump(GET.route, FIXED_BYTES.route, family));
    case "rule":
      return [AF.inet, AF.inet6].map((family) => dump(GET.rule, FIXED_BYTES.rule, family));
    case "neighbour":
      return [AF.inet, AF.inet6].map((family) => dump(GET.neighbour, FIXED_BYTES.neighbour, family));
    case "forwarding":
      return [dump(GET.neighbour, FIXED_BYTES.neighbour, AF.bridge)];
  }
}

function dump(type: number, fixedBytes: number, family: number): Uint8Array {
  const fixed = Buffer.alloc(fixedBytes);
  fixed.writeUInt8(family, 0);
  return encodeMessage({ type, flags: NLM_F_DUMP, fixed });
}

/** @param nameOf of a link by its index. @returns undefined for what the audit does not look at. */
export function readFact(
  kind: DumpedKind,
  payload: Uint8Array,
  nameOf: (index: number) => string,
): FoundFact | undefined {
  switch (kind) {
    case "link":
      return readLink(payload);
    case "address":
      return readAddress(payload, nameOf);
    case "route":
      return readRoute(payload, nameOf);
    case "rule":
      return readRule(payload);
    case "neighbour":
    case "forwarding":
      return readNeighbour(kind, payload, nameOf);
  }
}

/** The index stands beside the fact, for those that name the link by it. */
export function linkIndexOf(payload: Uint8Array): number {
  return decodePayload(payload, FIXED_BYTES.link).fixed.readInt32LE(4);
}

function readLink(payload: Uint8Array): FoundFact {
  const { name, mtuBytes, mac, vxlan } = decodeLink(payload);
  const isUp = (decodePayload(payload, FIXED_BYTES.link).fixed.readUInt32LE(8) & IFF_UP) !== 0;
  return {
    fact: {
      kind: "link",
      name,
      isUp,
      mtuBytes,
      ...(mac === undefined ? {} : { mac }),
      ...(vxlan === undefined ? {} : { vxlan }),
    },
    isOurs: true,
  };
}

function readAddress(payload: Uint8Array, nameOf: (index: number) => string): FoundFact | undefined {
  const { fixed, attributes } = decodePayload(payload, FIXED_BYTES.address);
  const address = readIp(attributes.get(IFA_LOCAL) ?? attributes.get(1));
  if (address === undefined || /^(127\.|::1$|fe80:)/.test(address)) return undefined; // the kernel's own
  const prefixLength = fixed.readUInt8(1);
  return {
    fact: { kind: "address", link: nameOf(fixed.readUInt32LE(4)), address, prefixLength },
    isOurs: true,
  };
}

function readRoute(payload: Uint8Array, nameOf: (index: number) => string): FoundFact | undefined {
  const { fixed, attributes } = decodePayload(payload, FIXED_BYTES.route);
  const type = fixed.readUInt8(7);
  if (type !== RTN.unicast && type !== RTN.unreachable) return undefined;
  const isOurs = fixed.readUInt8(5) === SKEIN_PROTOCOL;
  const any = fixed.readUInt8(0) === AF.inet6 ? "::" : "0.0.0.0";
  const table = attributes.get(RTA.table)?.readUInt32LE(0) ?? fixed.readUInt8(4);
  const link = attributes.get(RTA.oif)?.readUInt32LE(0);
  const gateway = readIp(attributes.get(RTA.gateway));
  const source = readIp(attributes.get(RTA.prefSrc));
  const isUnreachable = type === RTN.unreachable; // in IPv6 it names lo all the same
  return {
    fact: {
      kind: "route",
      destination: `${readIp(attributes.get(RTA.dst)) ?? any}/${fixed.readUInt8(1)}`,
      ...(table === RT_TABLE_MAIN ? {} : { table }),
      ...(link === undefined || isUnreachable ? {} : { link: nameOf(link) }),
      ...(gateway === undefined ? {} : { gateway }),
      ...(source === undefined ? {} : { source }),
    },
    isOurs,
  };
}

function readRule(payload: Uint8Array): FoundFact {
  const { isOurs, rule } = decodeRule(payload);
  const family = payload[0] === AF.inet6 ? { family: 6 as const } : {};
  return { fact: { kind: "rule", rule, ...family }, isOurs };
}

function readNeighbour(
  kind: "neighbour" | "forwarding",
  payload: Uint8Array,
  nameOf: (index: number) => string,
): FoundFact | undefined {
  const { fixed, attributes } = decodePayload(payload, FIXED_BYTES.neighbour);
  const address = readIp(attributes.get(NDA.dst));
  const mac = readMac(attributes.get(NDA.lladdr));
  const isPermanent = (fixed.readUInt16LE(8) & NUD_PERMANENT) !== 0;
  if (address === undefined || mac === undefined || !isPermanent) return undefined;
  return { fact: { kind, link: nameOf(fixed.readUInt32LE(4)), address, mac }, isOurs: true };
}
