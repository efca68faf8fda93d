/**
 * The message that mends one difference. Pure.
 * Invariant: it changes the entry that the difference names and nothing else.
 */
import { encodeMessage, mac, NLM_F_ACK, u32 } from "../dataplane/rtnetlink-codec.js";
import type { Route } from "../dataplane/rtnetlink-messages.js";
import {
  addRule,
  deleteAddress,
  deleteForwarding,
  deleteLink,
  deleteNeighbour,
  deleteRoute,
  deleteRule,
  setAddress,
  setForwarding,
  setNeighbour,
  setRoute,
} from "../dataplane/rtnetlink-messages.js";
import type { FactDifference } from "./compare.js";
import type { Fact, LinkFact, RouteFact } from "./facts.js";

const RTM_SETLINK = 19;
const IFF_UP = 1;
const IFLA = { address: 1, mtu: 4 } as const;

export interface RepairContext {
  /** Of a link by its name. */
  readonly indexOf: (name: string) => number | undefined;
}

/** @returns undefined when no message will do: what it belongs to is to be made anew. */
export function repairMessage(difference: FactDifference, context: RepairContext): Uint8Array | undefined {
  if (difference.problem === "foreign") return removal(difference.found, context);
  const { wanted } = difference;
  if (wanted.kind !== "link") return setting(wanted, context);
  if (difference.problem === "missing" || difference.found.kind !== "link") return undefined;
  return linkChange(wanted, difference.found, context);
}

function linkChange(wanted: LinkFact, found: LinkFact, context: RepairContext): Uint8Array | undefined {
  const index = context.indexOf(wanted.name);
  const { vxlan } = wanted;
  const isOfAnotherMake =
    vxlan !== undefined &&
    (vxlan.vni !== found.vxlan?.vni ||
      vxlan.udpPort !== found.vxlan.udpPort ||
      vxlan.localAddress !== found.vxlan.localAddress);
  if (index === undefined || isOfAnotherMake) return undefined;
  const fixed = Buffer.alloc(16); // struct ifinfomsg
  fixed.writeInt32LE(index, 4);
  fixed.writeUInt32LE(IFF_UP, 8);
  fixed.writeUInt32LE(IFF_UP, 12);
  return encodeMessage({
    type: RTM_SETLINK,
    flags: NLM_F_ACK,
    fixed,
    attributes: [
      ...(wanted.mtuBytes === undefined ? [] : [u32(IFLA.mtu, wanted.mtuBytes)]),
      ...(wanted.mac === undefined || wanted.mac === found.mac ? [] : [mac(IFLA.address, wanted.mac)]),
    ],
  });
}

function setting(fact: Fact, { indexOf }: RepairContext): Uint8Array | undefined {
  switch (fact.kind) {
    case "address": {
      const index = indexOf(fact.link);
      return index === undefined ? undefined : setAddress({ ...fact, index, withoutRoute: isIpv6(fact) });
    }
    case "route": {
      const route = routeOf(fact, indexOf);
      return route === undefined ? undefined : setRoute(route);
    }
    case "rule":
      return addRule(fact.rule, fact.family);
    case "neighbour":
    case "forwarding": {
      const linkIndex = indexOf(fact.link);
      if (linkIndex === undefined) return undefined;
      return fact.kind === "neighbour"
        ? setNeighbour({ ...fact, linkIndex })
        : setForwarding({ ...fact, linkIndex });
    }
    case "link":
    case "setting":
      return undefined;
  }
}

function removal(fact: Fact, { indexOf }: RepairContext): Uint8Array | undefined {
  switch (fact.kind) {
    case "address": {
      const index = indexOf(fact.link);
      return index === undefined ? undefined : deleteAddress({ ...fact, index });
    }
    case "route": {
      const route = routeOf(fact, indexOf);
      return route === undefined ? undefined : deleteRoute(route);
    }
    case "rule":
      return deleteRule(fact.rule, fact.family);
    case "neighbour":
    case "forwarding": {
      const linkIndex = indexOf(fact.link);
      if (linkIndex === undefined) return undefined;
      return fact.kind === "neighbour"
        ? deleteNeighbour({ ...fact, linkIndex })
        : deleteForwarding({ ...fact, linkIndex });
    }
    case "link": {
      const index = indexOf(fact.name);
      return index === undefined ? undefined : deleteLink(index);
    }
    case "setting":
      return undefined;
  }
}

function routeOf(fact: RouteFact, indexOf: RepairContext["indexOf"]): Route | undefined {
  const { destination, table, gateway, source } = fact;
  const rest = {
    destination,
    ...(table === undefined ? {} : { table }),
    ...(source === undefined ? {} : { source }),
  };
  if (fact.link === undefined) return { ...rest, type: "unreachable" };
  const linkIndex = indexOf(fact.link);
  if (linkIndex === undefined) return undefined;
  return { ...rest, linkIndex, ...(gateway === undefined ? {} : { gateway, onlink: true }) };
}

/** Addresses of IPv6 give no route to their prefix: whoever wants one says so. */
function isIpv6({ address }: { readonly address: string }): boolean {
  return address.includes(":");
}
