/**
 * The rtnetlink requests we send, and what we read of the answers: links, addresses, routes,
 * neighbours, forwarding entries, rules.
 * Pure. Invariant: whatever we add to routes, and rules carries protocol 83,
 * so that it can be told from what others added.
 * Source: rtnetlink(7), linux/if_link.h, linux/neighbour.h, linux/fib_rules.h,
 * drivers/net/vxlan and veth of Linux.
 */
import type { Attribute } from "./rtnetlink-codec.js";
import {
  decodeAttributes,
  decodePayload,
  encodeMessage,
  ip,
  mac,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  nested,
  port16,
  readIp,
  readMac,
  readText,
  text,
  u8,
  u32,
} from "./rtnetlink-codec.js";

const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddr: 20,
  delAddr: 21,
  getAddr: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeigh: 28,
  delNeigh: 29,
  getNeigh: 30,
  newRule: 32,
  delRule: 33,
  getRule: 34,
} as const;

const AF_INET = 2;
const AF_INET6 = 10;
const AF_BRIDGE = 7;
const IFF_UP = 1;
const IFA_F_NODAD = 2;
const IFA_F_NOPREFIXROUTE = 0x200;
const NUD_PERMANENT = 0x80;
const NTF_SELF = 2;
const RTNH_F_ONLINK = 4;
const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;
const ROUTE_TYPES = { unicast: 1, local: 2, unreachable: 7 } as const;
/** Marks routes and rules as ours. Source: values 4-255 are free for daemons, see /etc/iproute2/rt_protos. */
export const SKEIN_PROTOCOL = 83;

const IFLA = { address: 1, name: 3, mtu: 4, linkInfo: 18, netnsFd: 28 } as const;
const IFLA_INFO = { kind: 1, data: 2 } as const;
const IFLA_VXLAN = { id: 1, local: 4, learning: 7, port: 15, local6: 17, dontFragment: 29 } as const;
const VETH_INFO_PEER = 1;
const RTA = { dst: 1, oif: 4, gateway: 5, priority: 6, prefSrc: 7, table: 15 } as const;
const NDA = { dst: 1, lladdr: 2 } as const;
const FRA = { goto: 4, priority: 6, fwmark: 10, table: 15, fwmask: 16, protocol: 21 } as const;
const FR_ACTION = { table: 1, goto: 2, nop: 3 } as const;
const FIB_RULE_INVERT = 2;

function linkHeader(options: { index?: number; up?: boolean } = {}): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(options.index ?? 0, 4);
  if (options.up === true) {
    bytes.writeUInt32LE(IFF_UP, 8);
    bytes.writeUInt32LE(IFF_UP, 12);
  }
  return bytes;
}

function newLink(
  kind: string,
  attributes: readonly Attribute[],
  data: readonly Attribute[],
  header: { up: boolean; index?: number },
): Uint8Array {
  return encodeMessage({
    type: RTM.newLink,
    flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    fixed: linkHeader(header),
    attributes: [
      ...attributes,
      nested(IFLA.linkInfo, [text(IFLA_INFO.kind, kind), nested(IFLA_INFO.data, data)]),
    ],
  });
}

export interface VethEnd {
  readonly name: string;
  readonly mac?: string;
  readonly mtuBytes: number;
}

/**
 * A veth pair; the peer is born in another namespace under the index given, down:
 * it can only be opened when both exist.
 */
export function newVeth(options: {
  /** With its own index, or the peer gets another one than asked for. */
  host: VethEnd & { index?: number };
  peer: VethEnd & { index: number; netnsFd: number };
}): Uint8Array {
  const { host, peer } = options;
  const end = (side: VethEnd): Attribute[] => [
    text(IFLA.name, side.name),
    u32(IFLA.mtu, side.mtuBytes),
    ...(side.mac === undefined ? [] : [mac(IFLA.address, side.mac)]),
  ];
  const peerAttributes = [...end(peer), u32(IFLA.netnsFd, peer.netnsFd)];
  const data = nested(VETH_INFO_PEER, peerAttributes, linkHeader({ index: peer.index }));
  return newLink("veth", end(host), [data], {
    up: true,
    ...(host.index === undefined ? {} : { index: host.index }),
  });
}

/**
 * A VXLAN device without learning; with `netnsFd` it is born in that namespace while its UDP socket stays in
 * the sender's. `dontFragment`: what does not fit an IPv4 path is lost, and not cut.
 */
export function newVxlan(options: {
  name: string;
  vni: number;
  localAddress: string;
  udpPort: number;
  mac: string;
  mtuBytes: number;
  netnsFd?: number;
  dontFragment?: boolean;
}): Uint8Array {
  const attributes = [
    text(IFLA.name, options.name),
    mac(IFLA.address, options.mac),
    u32(IFLA.mtu, options.mtuBytes),
    ...(options.netnsFd === undefined ? [] : [u32(IFLA.netnsFd, options.netnsFd)]),
  ];
  const data = [
    u32(IFLA_VXLAN.id, options.vni),
    ip(options.localAddress.includes(":") ? IFLA_VXLAN.local6 : IFLA_VXLAN.local, options.localAddress),
    port16(IFLA_VXLAN.port, options.udpPort),
    u8(IFLA_VXLAN.learning, 0),
    ...(options.dontFragment === true ? [u8(IFLA_VXLAN.dontFragment, 1)] : []),
  ];
  return newLink("vxlan", attributes, data, { up: true });
}

export function setLinkUp(index: number): Uint8Array {
  return encodeMessage({ type: RTM.setLink, flags: NLM_F_ACK, fixed: linkHeader({ index, up: true }) });
}

export function setLinkMtu(index: number, mtuBytes: number): Uint8Array {
  const attributes = [u32(IFLA.mtu, mtuBytes)];
  return encodeMessage({ type: RTM.setLink, flags: NLM_F_ACK, fixed: linkHeader({ index }), attributes });
}

export function deleteLink(index: number): Uint8Array {
  return encodeMessage({ type: RTM.delLink, flags: NLM_F_ACK, fixed: linkHeader({ index }) });
}

export function getLinkByName(name: string): Uint8Array {
  return encodeMessage({
    type: RTM.getLink,
    flags: NLM_F_ACK,
    fixed: linkHeader(),
    attributes: [text(IFLA.name, name)],
  });
}

export function dumpLinks(): Uint8Array {
  return encodeMessage({ type: RTM.getLink, flags: NLM_F_DUMP, fixed: linkHeader() });
}

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtuBytes: number;
  readonly mac: string | undefined;
  /** Only for VXLAN devices. */
  readonly vxlan:
    | { readonly vni: number; readonly localAddress: string; readonly udpPort: number }
    | undefined;
}

function decodeVxlan(linkInfo: Buffer | undefined): Link["vxlan"] {
  if (linkInfo === undefined) return undefined;
  const info = decodeAttributes(linkInfo);
  const data = info.get(IFLA_INFO.data);
  if (readText(info.get(IFLA_INFO.kind)) !== "vxlan" || data === undefined) return undefined;
  const values = decodeAttributes(data);
  return {
    vni: values.get(IFLA_VXLAN.id)?.readUInt32LE(0) ?? 0,
    localAddress: readIp(values.get(IFLA_VXLAN.local) ?? values.get(IFLA_VXLAN.local6)) ?? "",
    udpPort: values.get(IFLA_VXLAN.port)?.readUInt16BE(0) ?? 0,
  };
}

export function decodeLink(payload: Uint8Array): Link {
  const { fixed, attributes } = decodePayload(payload, 16);
  return {
    vxlan: decodeVxlan(attributes.get(IFLA.linkInfo)),
    index: fixed.readInt32LE(4),
    name: readText(attributes.get(IFLA.name)) ?? "",
    mtuBytes: attributes.get(IFLA.mtu)?.readUInt32LE(0) ?? 0,
    mac: readMac(attributes.get(IFLA.address)),
  };
}

/** Of either family; one of IPv6 is used at once, without asking whether somebody has it (no DAD). */
export interface LinkAddress {
  readonly index: number;
  readonly address: string;
  readonly prefixLength: number;
  /** Gives no route to the prefix. @default false; not read back */
  readonly withoutRoute?: boolean;
}

/** Which addresses, routes, neighbours or rules a dump holds. */
export type DumpFamily = 4 | 6 | "all";

function familyOf(address: string): number {
  return address.includes(":") ? AF_INET6 : AF_INET;
}

function familyNumber(family: DumpFamily): number {
  return family === "all" ? 0 : family === 4 ? AF_INET : AF_INET6;
}

function address(type: number, flags: number, options: LinkAddress): Uint8Array {
  const family = familyOf(options.address);
  const fixed = Buffer.from([family, options.prefixLength, 0, 0, 0, 0, 0, 0]);
  fixed.writeUInt32LE(options.index, 4);
  const without = options.withoutRoute === true ? IFA_F_NOPREFIXROUTE : 0;
  const addressFlags = (family === AF_INET6 ? IFA_F_NODAD : 0) | without;
  return encodeMessage({
    type,
    flags: flags | NLM_F_ACK,
    fixed,
    attributes: [
      ip(2, options.address), // IFA_LOCAL
      ip(1, options.address), // IFA_ADDRESS
      ...(addressFlags === 0 ? [] : [u32(8, addressFlags)]), // IFA_FLAGS
    ],
  });
}

export function setAddress(options: LinkAddress): Uint8Array {
  return address(RTM.newAddr, NLM_F_CREATE | NLM_F_REPLACE, options);
}

export function deleteAddress(options: LinkAddress): Uint8Array {
  return address(RTM.delAddr, 0, options);
}

export function dumpAddresses(family: DumpFamily = 4): Uint8Array {
  return encodeMessage({
    type: RTM.getAddr,
    flags: NLM_F_DUMP,
    fixed: Buffer.from([familyNumber(family), 0, 0, 0, 0, 0, 0, 0]),
  });
}

export function decodeAddress(payload: Uint8Array): LinkAddress {
  const { fixed, attributes } = decodePayload(payload, 8);
  return {
    index: fixed.readUInt32LE(4),
    prefixLength: fixed.readUInt8(1),
    address: readIp(attributes.get(2) ?? attributes.get(1)) ?? "",
  };
}

export interface Route {
  /** "10.0.1.0/24"; "0.0.0.0/0" and "::/0" are the default routes. */
  readonly destination: string;
  readonly type?: "unicast" | "unreachable" | "local";
  readonly linkIndex?: number;
  readonly gateway?: string;
  /** The gateway need not be on a subnet of the link. */
  readonly onlink?: boolean;
  readonly source?: string;
  /** @default main */
  readonly table?: number;
  /** Tells routes to one destination apart. @default the kernel's */
  readonly metric?: number;
}

function route(type: number, flags: number, options: Route): Uint8Array {
  const [prefix = "0.0.0.0", length = "32"] = options.destination.split("/");
  const family = familyOf(prefix);
  const isUniverse = options.gateway !== undefined || options.type === "unreachable" || family === AF_INET6;
  const scope = isUniverse ? 0 : 253; // 253: link
  const kind = ROUTE_TYPES[options.type ?? "unicast"];
  const fixed = Buffer.from([family, Number(length), 0, 0, 0, SKEIN_PROTOCOL, scope, kind, 0, 0, 0, 0]);
  if (options.onlink === true) fixed.writeUInt32LE(RTNH_F_ONLINK, 8);
  return encodeMessage({
    type,
    flags: flags | NLM_F_ACK,
    fixed,
    attributes: [
      ...(length === "0" ? [] : [ip(RTA.dst, prefix)]),
      u32(RTA.table, options.table ?? RT_TABLE_MAIN),
      ...(options.metric === undefined ? [] : [u32(RTA.priority, options.metric)]),
      ...(options.gateway === undefined ? [] : [ip(RTA.gateway, options.gateway)]),
      ...(options.linkIndex === undefined ? [] : [u32(RTA.oif, options.linkIndex)]),
      ...(options.source === undefined ? [] : [ip(RTA.prefSrc, options.source)]),
    ],
  });
}

export function setRoute(options: Route): Uint8Array {
  return route(RTM.newRoute, NLM_F_CREATE | NLM_F_REPLACE, options);
}

export function deleteRoute(options: Route): Uint8Array {
  return route(RTM.delRoute, 0, options);
}

export function dumpRoutes(family: DumpFamily = 4): Uint8Array {
  return encodeMessage({
    type: RTM.getRoute,
    flags: NLM_F_DUMP,
    fixed: Buffer.from([familyNumber(family), ...new Array(11).fill(0)]),
  });
}

export interface KernelRoute {
  readonly destination: string;
  readonly table: number;
  readonly isOurs: boolean;
  readonly isUnreachable: boolean;
  readonly linkIndex: number | undefined;
  readonly gateway: string | undefined;
}

export function decodeRoute(payload: Uint8Array): KernelRoute {
  const { fixed, attributes } = decodePayload(payload, 12);
  const anyAddress = fixed.readUInt8(0) === AF_INET6 ? "::" : "0.0.0.0";
  return {
    destination: `${readIp(attributes.get(RTA.dst)) ?? anyAddress}/${fixed.readUInt8(1)}`,
    table: attributes.get(RTA.table)?.readUInt32LE(0) ?? fixed.readUInt8(4),
    isOurs: fixed.readUInt8(5) === SKEIN_PROTOCOL,
    isUnreachable: fixed.readUInt8(7) === 7,
    linkIndex: attributes.get(RTA.oif)?.readUInt32LE(0),
    gateway: readIp(attributes.get(RTA.gateway)),
  };
}

export interface Neighbour {
  readonly linkIndex: number;
  /** A neighbour's address; for a forwarding entry the VTEP behind which the MAC lives. */
  readonly address: string;
  readonly mac: string;
}

function neighbour(type: number, flags: number, family: number, options: Neighbour): Uint8Array {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt8(family, 0);
  fixed.writeUInt32LE(options.linkIndex, 4);
  fixed.writeUInt16LE(NUD_PERMANENT, 8);
  fixed.writeUInt8(family === AF_BRIDGE ? NTF_SELF : 0, 10);
  return encodeMessage({
    type,
    flags: flags | NLM_F_ACK,
    fixed,
    attributes: [ip(NDA.dst, options.address), mac(NDA.lladdr, options.mac)],
  });
}

export function setNeighbour(options: Neighbour): Uint8Array {
  return neighbour(RTM.newNeigh, NLM_F_CREATE | NLM_F_REPLACE, familyOf(options.address), options);
}

export function deleteNeighbour(options: Neighbour): Uint8Array {
  return neighbour(RTM.delNeigh, 0, familyOf(options.address), options);
}

/** A static entry of a VXLAN device: frames to this MAC go to that VTEP. */
export function setForwarding(options: Neighbour): Uint8Array {
  return neighbour(RTM.newNeigh, NLM_F_CREATE | NLM_F_REPLACE, AF_BRIDGE, options);
}

export function deleteForwarding(options: Neighbour): Uint8Array {
  return neighbour(RTM.delNeigh, 0, AF_BRIDGE, options);
}

export function dumpNeighbours(kind: "ipv4" | "ipv6" | "forwarding"): Uint8Array {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt8(kind === "forwarding" ? AF_BRIDGE : kind === "ipv4" ? AF_INET : AF_INET6, 0);
  return encodeMessage({ type: RTM.getNeigh, flags: NLM_F_DUMP, fixed });
}

export function decodeNeighbour(payload: Uint8Array): Neighbour {
  const { fixed, attributes } = decodePayload(payload, 12);
  return {
    linkIndex: fixed.readUInt32LE(4),
    address: readIp(attributes.get(NDA.dst)) ?? "",
    mac: readMac(attributes.get(NDA.lladdr)) ?? "",
  };
}

export interface MarkRule {
  readonly priority: number;
  readonly match?: { readonly mark: number; readonly mask: number; readonly inverted?: boolean };
  readonly action:
    | { readonly kind: "table"; readonly table: number }
    | { readonly kind: "goto"; readonly priority: number }
    | { readonly kind: "nop" };
}

function rule(type: number, flags: number, options: MarkRule, family: 4 | 6): Uint8Array {
  const { match, action } = options;
  const fixed = Buffer.alloc(12);
  fixed.writeUInt8(familyNumber(family), 0);
  fixed.writeUInt8(FR_ACTION[action.kind], 7);
  fixed.writeUInt32LE(match?.inverted === true ? FIB_RULE_INVERT : 0, 8);
  return encodeMessage({
    type,
    flags: flags | NLM_F_ACK,
    fixed,
    attributes: [
      u32(FRA.priority, options.priority),
      u8(FRA.protocol, SKEIN_PROTOCOL),
      ...(match === undefined ? [] : [u32(FRA.fwmark, match.mark), u32(FRA.fwmask, match.mask)]),
      ...(action.kind === "table" ? [u32(FRA.table, action.table)] : []),
      ...(action.kind === "goto" ? [u32(FRA.goto, action.priority)] : []),
    ],
  });
}

export function addRule(options: MarkRule, family: 4 | 6 = 4): Uint8Array {
  return rule(RTM.newRule, NLM_F_CREATE | NLM_F_EXCL, options, family);
}

export function deleteRule(options: MarkRule, family: 4 | 6 = 4): Uint8Array {
  return rule(RTM.delRule, 0, options, family);
}

export function dumpRules(family: 4 | 6 = 4): Uint8Array {
  return encodeMessage({
    type: RTM.getRule,
    flags: NLM_F_DUMP,
    fixed: Buffer.from([familyNumber(family), ...new Array(11).fill(0)]),
  });
}

export interface KernelRule {
  readonly priority: number;
  readonly isOurs: boolean;
  readonly rule: MarkRule;
}

export function decodeRule(payload: Uint8Array): KernelRule {
  const { fixed, attributes } = decodePayload(payload, 12);
  const priority = attributes.get(FRA.priority)?.readUInt32LE(0) ?? 0;
  const mark = attributes.get(FRA.fwmark)?.readUInt32LE(0);
  const mask = attributes.get(FRA.fwmask)?.readUInt32LE(0) ?? 0xffff_ffff;
  const kind = fixed.readUInt8(7);
  const action: MarkRule["action"] =
    kind === FR_ACTION.goto
      ? { kind: "goto", priority: attributes.get(FRA.goto)?.readUInt32LE(0) ?? 0 }
      : kind === FR_ACTION.nop
        ? { kind: "nop" }
        : { kind: "table", table: attributes.get(FRA.table)?.readUInt32LE(0) ?? fixed.readUInt8(4) };
  const inverted = (fixed.readUInt32LE(8) & FIB_RULE_INVERT) !== 0;
  return {
    priority,
    isOurs: attributes.get(FRA.protocol)?.readUInt8(0) === SKEIN_PROTOCOL,
    rule: { priority, action, ...(mark === undefined ? {} : { match: { mark, mask, inverted } }) },
  };
}
