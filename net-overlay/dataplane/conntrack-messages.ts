/**
 * Requests to the kernel's connection table: list UDP flows that a server answers, find a TCP flow, delete
 * one.
 * Pure. Source: linux/netfilter/nfnetlink_conntrack.h; filters need Linux 5.8.
 */
import type { Attribute } from "./rtnetlink-codec.js";
import {
  decodeAttributes,
  decodePayload,
  encodeMessage,
  ip,
  NLM_F_ACK,
  NLM_F_DUMP,
  nested,
  port16,
  readIp,
  u8,
  u32,
} from "./rtnetlink-codec.js";

const CT_GET = (1 << 8) | 1;
const CT_DELETE = (1 << 8) | 2;
const HEADER_BYTES = 4;
const NESTED = 0x8000;
const CTA = { tupleOrig: 1, tupleReply: 2, timeout: 7, id: 12, zone: 18, filter: 25 } as const;
const TUPLE = { ip: 1, proto: 2 } as const;
const IP_FIELD = { 4: { source: 1, destination: 2 }, 6: { source: 3, destination: 4 } } as const;
const PROTO = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const FILTER = { origFlags: 1, replyFlags: 2 } as const;
const BY_PROTOCOL = 1 << 3;
const BY_SOURCE_AND_PROTOCOL = (1 << 0) | BY_PROTOCOL;
const BY_PROTOCOL_AND_PORT = (1 << 3) | (1 << 5);
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

export type IpFamily = 4 | 6;

export function familyOf(address: string): IpFamily {
  return address.includes(":") ? 6 : 4;
}

/** struct nfgenmsg: address family, version 0, resource 0. */
function header(family: IpFamily): Uint8Array {
  return Uint8Array.of(family === 4 ? 2 : 10, 0, 0, 0);
}

/**
 * UDP flows of a family.
 * @param server only those whose answers come from this IPv4 address. There is none for IPv6, whose addresses
 * the kernel (6.18 still) compares the wrong way round: it gives all flows but the ones that are meant.
 */
export function dumpUdpFlows(family: IpFamily, server?: string): Uint8Array {
  const source = server === undefined ? [] : [ip(IP_FIELD[4].source, server)];
  const tuple = [
    nested(TUPLE.ip | NESTED, source),
    nested(TUPLE.proto | NESTED, [u8(PROTO.number, IPPROTO_UDP)]),
  ];
  const by = server === undefined ? BY_PROTOCOL : BY_SOURCE_AND_PROTOCOL;
  const filter = [u32(FILTER.origFlags, 0), u32(FILTER.replyFlags, by)];
  return encodeMessage({
    type: CT_GET,
    flags: NLM_F_DUMP,
    fixed: header(family),
    attributes: [nested(CTA.tupleReply | NESTED, tuple), nested(CTA.filter | NESTED, filter)],
  });
}

export interface UdpFlow {
  /** Where its client sends. */
  readonly destination: string;
  readonly destinationPort: number;
  /** Who answers. */
  readonly server: string;
}

/** @returns undefined for what has no such ends. */
export function decodeUdpFlow(payload: Uint8Array): UdpFlow | undefined {
  const { fixed, attributes } = decodePayload(payload, HEADER_BYTES);
  const field = IP_FIELD[fixed[0] === 2 ? 4 : 6];
  const original = attributes.get(CTA.tupleOrig);
  const reply = attributes.get(CTA.tupleReply);
  if (original === undefined || reply === undefined) return undefined;
  const sent = decodeAttributes(original);
  const proto = sent.get(TUPLE.proto);
  const port = proto === undefined ? undefined : decodeAttributes(proto).get(PROTO.destinationPort);
  const destination = addressIn(sent.get(TUPLE.ip), field.destination);
  const server = addressIn(decodeAttributes(reply).get(TUPLE.ip), field.source);
  if (destination === undefined || server === undefined || port?.length !== 2) return undefined;
  return { destination, destinationPort: port.readUInt16BE(0), server };
}

function addressIn(nest: Buffer | undefined, field: number): string | undefined {
  return nest === undefined ? undefined : readIp(decodeAttributes(nest).get(field));
}

/** UDP flows that were opened to this port, wherever they ended. */
export function dumpUdpFlowsTo(port: number, family: IpFamily): Uint8Array {
  const tuple = [
    nested(TUPLE.ip | NESTED, []),
    nested(TUPLE.proto | NESTED, [u8(PROTO.number, IPPROTO_UDP), port16(PROTO.destinationPort, port)]),
  ];
  const filter = [u32(FILTER.origFlags, BY_PROTOCOL_AND_PORT), u32(FILTER.replyFlags, 0)];
  return encodeMessage({
    type: CT_GET,
    flags: NLM_F_DUMP,
    fixed: header(family),
    attributes: [nested(CTA.tupleOrig | NESTED, tuple), nested(CTA.filter | NESTED, filter)],
  });
}

interface End {
  readonly address: string;
  readonly port: number;
}

/**
 * One TCP flow by the addresses of its packets in one direction. A flow that came in a zone has it in the
 * original direction alone: its answers are found without.
 */
export function findTcpFlow(options: {
  readonly direction: "original" | "reply";
  readonly from: End;
  readonly to: End;
}): Uint8Array {
  const { direction, from, to } = options;
  const family = familyOf(from.address);
  const { source, destination } = IP_FIELD[family];
  const tuple = [
    nested(TUPLE.ip | NESTED, [ip(source, from.address), ip(destination, to.address)]),
    nested(TUPLE.proto | NESTED, [
      u8(PROTO.number, IPPROTO_TCP),
      port16(PROTO.sourcePort, from.port),
      port16(PROTO.destinationPort, to.port),
    ]),
  ];
  const type = direction === "original" ? CTA.tupleOrig : CTA.tupleReply;
  return encodeMessage({
    type: CT_GET,
    flags: NLM_F_ACK,
    fixed: header(family),
    attributes: [nested(type | NESTED, tuple)],
  });
}

/** @returns how long it is kept when nothing more comes, in seconds; undefined when that is not told. */
export function secondsLeftOf(flow: Uint8Array): number | undefined {
  const timeout = decodePayload(flow, HEADER_BYTES).attributes.get(CTA.timeout);
  return timeout?.length === 4 ? timeout.readUInt32BE(0) : undefined;
}

/** @param flow an answer to the dump. */
export function deleteFlow(flow: Uint8Array): Uint8Array {
  const { fixed, attributes: found } = decodePayload(flow, HEADER_BYTES);
  const attributes: Attribute[] = [];
  for (const type of [CTA.tupleOrig, CTA.id, CTA.zone]) {
    const value = found.get(type);
    if (value !== undefined) attributes.push({ type: type === CTA.tupleOrig ? type | NESTED : type, value });
  }
  return encodeMessage({
    type: CT_DELETE,
    flags: NLM_F_ACK,
    fixed: Uint8Array.of(fixed[0] ?? 0, 0, 0, 0),
    attributes,
  });
}
