/**
 * The rtnetlink requests for bridges, their ports, and addresses and routes of both families.
 * Pure. Invariant: routes we add carry protocol 83, as those of rtnetlink-messages.ts.
 * Source: rtnetlink(7), linux/if_link.h, linux/if_bridge.h, linux/if_addr.h.
 */

import {
  type Attribute,
  decodePayload,
  encodeMessage,
  mac,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  nested,
  text,
  u8,
  u32,
} from "../dataplane/rtnetlink-codec.js";
import { SKEIN_PROTOCOL } from "../dataplane/rtnetlink-messages.js";
import { formatAddress, parseAddress } from "../ipam/cidr.js";

const RTM = { newLink: 16, setLink: 19, newAddr: 20, getAddr: 22, newRoute: 24, delRoute: 25, getRoute: 26 };
const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_BRIDGE = 7;
const AF_INET6 = 10;
const IFF_UP = 1;
const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  master: 10,
  protinfo: 12,
  txQueueLength: 13,
  linkInfo: 18,
  netnsFd: 28,
} as const;
const IFLA_INFO = { kind: 1, data: 2 } as const;
const VETH_INFO_PEER = 1;
const NLA_F_NESTED = 0x8000;
const IFLA_BRPORT = { state: 1, hairpin: 4, flush: 24, isolated: 33 } as const;
const BR_STATE_DISABLED = 0;
const IFA = { address: 1, local: 2, broadcast: 4, flags: 8 } as const;
const IFA_F_NODAD = 2;
const RTA = { dst: 1, oif: 4, gateway: 5, table: 15 } as const;
const RT_TABLE_MAIN = 254;

function linkHeader(options: { family?: number; index?: number; up?: boolean }): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt8(options.family ?? AF_UNSPEC, 0);
  bytes.writeInt32LE(options.index ?? 0, 4);
  if (options.up === true) {
    bytes.writeUInt32LE(IFF_UP, 8);
    bytes.writeUInt32LE(IFF_UP, 12);
  }
  return bytes;
}

function newLink(attributes: readonly Attribute[], index = 0): Uint8Array {
  return encodeMessage({
    type: RTM.newLink,
    flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    fixed: linkHeader({ up: true, index }),
    attributes,
  });
}

export function newBridge(options: { name: string; mac: string; mtuBytes: number }): Uint8Array {
  return newLink([
    text(IFLA.name, options.name),
    mac(IFLA.address, options.mac),
    u32(IFLA.mtu, options.mtuBytes),
    nested(IFLA.linkInfo, [text(IFLA_INFO.kind, "bridge")]),
  ]);
}

/** A veth pair whose host end is born as a port of the bridge, its peer in another namespace, down. */
export function newBridgePort(options: {
  bridgeIndex: number;
  mtuBytes: number;
  /** With its own index, or the peer gets another one than asked for. */
  host: { readonly name: string; readonly index: number };
  peer: { readonly name: string; readonly mac: string; readonly index: number; readonly netnsFd: number };
}): Uint8Array {
  const { host, peer, mtuBytes } = options;
  const peerAttributes = [
    text(IFLA.name, peer.name),
    u32(IFLA.mtu, mtuBytes),
    mac(IFLA.address, peer.mac),
    u32(IFLA.txQueueLength, 0),
    u32(IFLA.netnsFd, peer.netnsFd),
  ];
  const data = nested(VETH_INFO_PEER, peerAttributes, linkHeader({ index: peer.index }));
  const attributes = [
    text(IFLA.name, host.name),
    u32(IFLA.mtu, mtuBytes),
    u32(IFLA.master, options.bridgeIndex),
    nested(IFLA.linkInfo, [text(IFLA_INFO.kind, "veth"), nested(IFLA_INFO.data, [data])]),
  ];
  return newLink(attributes, host.index);
}

function setPort(index: number, attributes: readonly Attribute[]): Uint8Array {
  return encodeMessage({
    type: RTM.setLink,
    flags: NLM_F_ACK,
    fixed: linkHeader({ family: AF_BRIDGE, index }),
    attributes: [nested(IFLA.protinfo | NLA_F_NESTED, attributes)],
  });
}

/**
 * @param flags.isolated ports that are so do not reach each other. @param flags.hairpin frames may leave by
 * the port they came from.
 */
export function setPortFlags(index: number, flags: { isolated: boolean; hairpin: boolean }): Uint8Array {
  return setPort(index, [
    u8(IFLA_BRPORT.isolated, flags.isolated ? 1 : 0),
    u8(IFLA_BRPORT.hairpin, flags.hairpin ? 1 : 0),
  ]);
}

/**
 * At once deaf and mute, and no MAC is looked for there: the kernel takes the interface of a gone namespace
 * away some time later, and its address may be somebody else's by then.
 */
export function disablePort(index: number): Uint8Array {
  return setPort(index, [
    u8(IFLA_BRPORT.state, BR_STATE_DISABLED),
    { type: IFLA_BRPORT.flush, value: new Uint8Array() },
  ]);
}

function addressBytes(address: string): { family: number; bytes: Uint8Array } {
  const { family, value } = parseAddress(address);
  const bytes = Buffer.alloc(family === 4 ? 4 : 16);
  let rest = value;
  for (let i = bytes.length - 1; i >= 0; i -= 1) {
    bytes[i] = Number(rest & 255n);
    rest >>= 8n;
  }
  return { family: family === 4 ? AF_INET : AF_INET6, bytes };
}

function readAddress(bytes: Buffer | undefined): string {
  if (bytes?.length === 4) return [...bytes].join(".");
  if (bytes?.length !== 16) return "";
  return formatAddress(6, BigInt(`0x${bytes.toString("hex")}`));
}

export interface InterfaceAddress {
  readonly index: number;
  readonly address: string;
  readonly prefixLength: number;
}

/** IPv4 with its broadcast address, IPv6 without looking for duplicates: we know that there is none. */
export function addAddress(options: InterfaceAddress): Uint8Array {
  const { family, bytes } = addressBytes(options.address);
  const fixed = Buffer.from([family, options.prefixLength, 0, 0, 0, 0, 0, 0]);
  if (family === AF_INET6) fixed.writeUInt8(IFA_F_NODAD, 2);
  fixed.writeUInt32LE(options.index, 4);
  const attributes: Attribute[] = [
    { type: IFA.local, value: bytes },
    { type: IFA.address, value: bytes },
  ];
  if (family === AF_INET && options.prefixLength < 31) {
    const broadcast = Buffer.from(bytes);
    broadcast.writeUInt32BE((broadcast.readUInt32BE(0) | (0xffff_ffff >>> options.prefixLength)) >>> 0, 0);
    attributes.push({ type: IFA.broadcast, value: broadcast });
  }
  if (family === AF_INET6) attributes.push(u32(IFA.flags, IFA_F_NODAD));
  return encodeMessage({
    type: RTM.newAddr,
    flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
    fixed,
    attributes,
  });
}

/** Of both families. */
export function dumpAllAddresses(): Uint8Array {
  return encodeMessage({
    type: RTM.getAddr,
    flags: NLM_F_DUMP,
    fixed: Buffer.from([AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0]),
  });
}

export function decodeAnyAddress(payload: Uint8Array): InterfaceAddress {
  const { fixed, attributes } = decodePayload(payload, 8);
  return {
    index: fixed.readUInt32LE(4),
    prefixLength: fixed.readUInt8(1),
    address: readAddress(attributes.get(IFA.local) ?? attributes.get(IFA.address)),
  };
}

function defaultRoute(type: number, flags: number, options: { gateway: string; index: number }): Uint8Array {
  const { family, bytes } = addressBytes(options.gateway);
  return encodeMessage({
    type,
    flags: flags | NLM_F_ACK,
    fixed: Buffer.from([family, 0, 0, 0, RT_TABLE_MAIN, SKEIN_PROTOCOL, 0, 1, 0, 0, 0, 0]),
    attributes: [
      { type: RTA.gateway, value: bytes },
      u32(RTA.oif, options.index),
      u32(RTA.table, RT_TABLE_MAIN),
    ],
  });
}

export function addDefaultRoute(options: { gateway: string; index: number }): Uint8Array {
  return defaultRoute(RTM.newRoute, NLM_F_CREATE | NLM_F_REPLACE, options);
}

export function deleteDefaultRoute(options: { gateway: string; index: number }): Uint8Array {
  return defaultRoute(RTM.delRoute, 0, options);
}

/** Of both families. */
export function dumpAllRoutes(): Uint8Array {
  return encodeMessage({
    type: RTM.getRoute,
    flags: NLM_F_DUMP,
    fixed: Buffer.from([AF_UNSPEC, ...new Array<number>(11).fill(0)]),
  });
}

/** What the main table leads somewhere by an interface; undefined for the rest. */
export function decodeDestination(
  payload: Uint8Array,
): { readonly destination: string; readonly linkIndex: number } | undefined {
  const { fixed, attributes } = decodePayload(payload, 12);
  const table = attributes.get(RTA.table)?.readUInt32LE(0) ?? fixed.readUInt8(4);
  const prefix = readAddress(attributes.get(RTA.dst));
  if (table !== RT_TABLE_MAIN || prefix === "") return undefined;
  return {
    destination: `${prefix}/${fixed.readUInt8(1)}`,
    linkIndex: attributes.get(RTA.oif)?.readUInt32LE(0) ?? 0,
  };
}
