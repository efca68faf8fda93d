/**
 * Requests to the kernel's connection table: list UDP flows that a server answers, delete one.
 * Pure. Source: linux/netfilter/nfnetlink_conntrack.h; filters need Linux 5.8.
 */
import type { Attribute } from "./rtnetlink-codec.js";
import {
  decodePayload,
  encodeMessage,
  ipv4,
  NLM_F_ACK,
  NLM_F_DUMP,
  nested,
  port16,
  u8,
  u32,
} from "./rtnetlink-codec.js";

const CT_GET = (1 << 8) | 1;
const CT_DELETE = (1 << 8) | 2;
/** struct nfgenmsg: IPv4, version 0, resource 0. */
const HEADER = Uint8Array.of(2, 0, 0, 0);
const NESTED = 0x8000;
const CTA = { tupleOrig: 1, tupleReply: 2, id: 12, zone: 18, filter: 25 } as const;
const TUPLE = { ip: 1, proto: 2 } as const;
const IP_V4_SRC = 1;
const PROTO_NUM = 1;
const PROTO_DST_PORT = 3;
const FILTER = { origFlags: 1, replyFlags: 2 } as const;
const BY_SOURCE_AND_PROTOCOL = (1 << 0) | (1 << 3);
const BY_PROTOCOL_AND_PORT = (1 << 3) | (1 << 5);
const IPPROTO_UDP = 17;

/** UDP flows whose answers come from this address. */
export function dumpUdpFlowsOf(server: string): Uint8Array {
  const tuple = [
    nested(TUPLE.ip | NESTED, [ipv4(IP_V4_SRC, server)]),
    nested(TUPLE.proto | NESTED, [u8(PROTO_NUM, IPPROTO_UDP)]),
  ];
  const filter = [u32(FILTER.origFlags, 0), u32(FILTER.replyFlags, BY_SOURCE_AND_PROTOCOL)];
  return encodeMessage({
    type: CT_GET,
    flags: NLM_F_DUMP,
    fixed: HEADER,
    attributes: [nested(CTA.tupleReply | NESTED, tuple), nested(CTA.filter | NESTED, filter)],
  });
}

/** UDP flows that were opened to this port, wherever they ended. */
export function dumpUdpFlowsTo(port: number): Uint8Array {
  const tuple = [
    nested(TUPLE.ip | NESTED, []),
    nested(TUPLE.proto | NESTED, [u8(PROTO_NUM, IPPROTO_UDP), port16(PROTO_DST_PORT, port)]),
  ];
  const filter = [u32(FILTER.origFlags, BY_PROTOCOL_AND_PORT), u32(FILTER.replyFlags, 0)];
  return encodeMessage({
    type: CT_GET,
    flags: NLM_F_DUMP,
    fixed: HEADER,
    attributes: [nested(CTA.tupleOrig | NESTED, tuple), nested(CTA.filter | NESTED, filter)],
  });
}

/** @param flow an answer to the dump. */
export function deleteFlow(flow: Uint8Array): Uint8Array {
  const found = decodePayload(flow, HEADER.length).attributes;
  const attributes: Attribute[] = [];
  for (const type of [CTA.tupleOrig, CTA.id, CTA.zone]) {
    const value = found.get(type);
    if (value !== undefined) attributes.push({ type: type === CTA.tupleOrig ? type | NESTED : type, value });
  }
  return encodeMessage({ type: CT_DELETE, flags: NLM_F_ACK, fixed: HEADER, attributes });
}
