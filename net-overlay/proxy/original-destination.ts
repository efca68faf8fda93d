/**
 * Where a connection was opened to before its address was translated, from the kernel's connection table.
 * Pure. Source: linux/netfilter/nfnetlink_conntrack.h.
 */
import { familyOf, findTcpFlow } from "../dataplane/conntrack-messages.js";
import { decodeAttributes, decodePayload, readIp } from "../dataplane/rtnetlink-codec.js";
import type { ProxyEnd } from "./proxy-header.js";

const HEADER_BYTES = 4;
const CTA_TUPLE_ORIGINAL = 1;
const TUPLE = { ip: 1, proto: 2 } as const;
const DESTINATION = { 4: 2, 6: 4 } as const;
const PROTO_DESTINATION_PORT = 3;

/** @param ends as the accepted socket has them. */
export function askOriginal(ends: { readonly client: ProxyEnd; readonly local: ProxyEnd }): Uint8Array {
  return findTcpFlow({ direction: "reply", from: ends.local, to: ends.client });
}

/** @returns undefined when the answer says nothing of it. */
export function originalDestination(flow: Uint8Array, client: string): ProxyEnd | undefined {
  const tuple = decodePayload(flow, HEADER_BYTES).attributes.get(CTA_TUPLE_ORIGINAL);
  if (tuple === undefined) return undefined;
  const parts = decodeAttributes(tuple);
  const address = decodeAttributes(parts.get(TUPLE.ip) ?? Buffer.alloc(0)).get(DESTINATION[familyOf(client)]);
  const port = decodeAttributes(parts.get(TUPLE.proto) ?? Buffer.alloc(0)).get(PROTO_DESTINATION_PORT);
  if (address === undefined || port?.length !== 2) return undefined;
  const text = readIp(address);
  return text === undefined ? undefined : { address: text, port: port.readUInt16BE(0) };
}
