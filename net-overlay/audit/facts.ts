/**
 * Facts of the kernel's network state: what a part of the data plane wants in a namespace, or what was read.
 * Pure. Invariant: a fact is told apart from others of its kind by `nameOf` alone; what else it says is what
 * may differ.
 * Source: docs/design/network-audit.md.
 */
import { ruleKey } from "../dataplane/return-rules.js";
import type { Link, MarkRule } from "../dataplane/rtnetlink-messages.js";

export type VxlanFacts = NonNullable<Link["vxlan"]>;

/** A wanted link is up; what is not said may be anything. */
export interface LinkFact {
  readonly kind: "link";
  readonly name: string;
  readonly isUp: boolean;
  readonly mtuBytes?: number;
  readonly mac?: string;
  readonly vxlan?: VxlanFacts;
}

export interface AddressFact {
  readonly kind: "address";
  readonly link: string;
  readonly address: string;
  readonly prefixLength: number;
}

export interface RouteFact {
  readonly kind: "route";
  /** "10.0.1.0/24"; "0.0.0.0/0" is the default route. */
  readonly destination: string;
  /** @default main */
  readonly table?: number;
  /** Absent for an unreachable one. */
  readonly link?: string;
  readonly gateway?: string;
  readonly source?: string;
}

export interface RuleFact {
  readonly kind: "rule";
  readonly rule: MarkRule;
  /** @default 4 */
  readonly family?: 4 | 6;
}

export interface NeighbourFact {
  readonly kind: "neighbour";
  readonly link: string;
  readonly address: string;
  readonly mac: string;
}

/** Of a VXLAN device: frames to this MAC go to that VTEP. */
export interface ForwardingFact {
  readonly kind: "forwarding";
  readonly link: string;
  readonly mac: string;
  readonly address: string;
}

/** As sysctl(8) names it. */
export interface SettingFact {
  readonly kind: "setting";
  readonly name: string;
  readonly value: string;
}

export type Fact =
  | LinkFact
  | AddressFact
  | RouteFact
  | RuleFact
  | NeighbourFact
  | ForwardingFact
  | SettingFact;
export type FactKind = Fact["kind"];

/** A table of nftables as the part that owns it would make it from nothing. */
export interface WantedTable {
  /** "ip skein" */
  readonly name: string;
  /** Whole: it replaces what is there. Made when it is needed, which is seldom. */
  readonly text: () => string;
}

/** All that one part of the data plane wants of a namespace. */
export interface WantedFacts {
  readonly facts: readonly Fact[];
  readonly tables: readonly WantedTable[];
  /**
   * Whether such an entry can only be this part's: if nobody wants it, it is foreign and is removed.
   * Routes and rules are asked for only when they bear our protocol number.
   */
  readonly owns: (found: Fact) => boolean;
}

export const NOTHING_WANTED: WantedFacts = { facts: [], tables: [], owns: () => false };

/** Of several parts in one namespace. */
export function together(parts: readonly WantedFacts[]): WantedFacts {
  return {
    facts: parts.flatMap(({ facts }) => facts),
    tables: parts.flatMap(({ tables }) => tables),
    owns: (found) => parts.some(({ owns }) => owns(found)),
  };
}

/** What tells it from others of its kind, in words. */
export function nameOf(fact: Fact): string {
  switch (fact.kind) {
    case "link":
      return fact.name;
    case "address":
      return `${fact.address}/${fact.prefixLength} on ${fact.link}`;
    case "route":
      return fact.table === undefined ? fact.destination : `${fact.destination} of table ${fact.table}`;
    case "rule":
      return `${fact.family === 6 ? "IPv6 " : ""}${ruleKey(fact.rule)}`;
    case "neighbour":
      return `${fact.address} on ${fact.link}`;
    case "forwarding":
      return `${fact.mac} on ${fact.link}`;
    case "setting":
      return fact.name;
  }
}

/** What else it says, in words. @param as of the other one's facts only those are said that this one has. */
export function contentOf(fact: Fact, as: Fact = fact): string {
  switch (fact.kind) {
    case "link":
      return as.kind === "link" ? linkValue(fact, as) : "";
    case "route": {
      const source =
        fact.source === undefined || (as.kind === "route" && as.source === undefined)
          ? ""
          : ` from ${fact.source}`;
      const gateway = fact.gateway === undefined ? "" : `via ${fact.gateway} `;
      return fact.link === undefined ? "unreachable" : `${gateway}by ${fact.link}${source}`;
    }
    case "neighbour":
      return fact.mac;
    case "forwarding":
      return fact.address;
    case "setting":
      return fact.value;
    case "address":
    case "rule":
      return "";
  }
}

function linkValue(link: LinkFact, as: LinkFact): string {
  const { vxlan } = link;
  return [
    link.isUp ? "up" : "down",
    ...(as.mtuBytes === undefined ? [] : [`mtu ${link.mtuBytes}`]),
    ...(as.mac === undefined ? [] : [`mac ${link.mac}`]),
    ...(as.vxlan === undefined
      ? []
      : vxlan === undefined
        ? ["no VXLAN device"]
        : [`vni ${vxlan.vni} port ${vxlan.udpPort} from ${vxlan.localAddress}`]),
  ].join(" ");
}
