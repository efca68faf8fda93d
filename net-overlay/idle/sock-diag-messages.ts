/**
 * Requests to the kernel about a namespace's TCP sockets: list the established ones with the time of their
 * last sign of life, close one.
 * Pure. Invariant: what is closed is the very socket that was listed: its cookie goes with the request.
 * Source: sock_diag(7); include/uapi/linux/{sock_diag,inet_diag,tcp}.h. Closing needs Linux 4.5 with
 * CONFIG_INET_DIAG_DESTROY.
 */
import { decodePayload, encodeMessage, NLM_F_ACK, NLM_F_DUMP, readIp } from "../dataplane/rtnetlink-codec.js";

const SOCK_DIAG_BY_FAMILY = 20;
const SOCK_DESTROY = 21;
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_TCP = 6;
const ESTABLISHED = 1 << 1;
const ALL_STATES = 0xffff_ffff;
/** Family, protocol, extensions, padding, states; then the socket's id. */
const REQUEST_BYTES = 8;
/** Ports, addresses, interface, cookie. */
const ID_BYTES = 48;
const ANSWER_BYTES = 72;
const ID_OFFSET = 4;
const INET_DIAG_INFO = 2;
/** Milliseconds, of struct tcp_info. */
const LIFE_SIGNS = { dataSent: 44, dataReceived: 52, ackReceived: 56 } as const;
const MAPPED_PREFIX = "::ffff:";

export interface SocketEnd {
  /** Without the prefix that IPv6 sockets give IPv4 addresses. */
  readonly address: string;
  readonly port: number;
}

export interface TcpSocket {
  readonly local: SocketEnd;
  readonly remote: SocketEnd;
  /** Since data last went either way, or was acknowledged to us, in milliseconds. */
  readonly idleMs: number;
  /** For `destroySocket`. */
  readonly handle: { readonly family: number; readonly id: Uint8Array };
}

/** @param family IPv6 sockets may speak IPv4, too. */
export function dumpEstablished(family: 4 | 6): Uint8Array {
  const fixed = Buffer.alloc(REQUEST_BYTES + ID_BYTES);
  fixed[0] = family === 4 ? AF_INET : AF_INET6;
  fixed[1] = IPPROTO_TCP;
  fixed[2] = 1 << (INET_DIAG_INFO - 1);
  fixed.writeUInt32LE(ESTABLISHED, 4);
  return encodeMessage({ type: SOCK_DIAG_BY_FAMILY, flags: NLM_F_DUMP, fixed });
}

/** @returns undefined for what has no counters. */
export function decodeSocket(payload: Uint8Array): TcpSocket | undefined {
  if (payload.length < ANSWER_BYTES) return undefined;
  const { fixed, attributes } = decodePayload(payload, ANSWER_BYTES);
  const info = attributes.get(INET_DIAG_INFO);
  if (info === undefined || info.length < LIFE_SIGNS.ackReceived + 4) return undefined;
  const family = fixed[0] ?? 0;
  const id = fixed.subarray(ID_OFFSET, ID_OFFSET + ID_BYTES);
  const addressBytes = family === AF_INET ? 4 : 16;
  const end = (portAt: number, addressAt: number): SocketEnd => {
    const address = readIp(id.subarray(addressAt, addressAt + addressBytes)) ?? "";
    return { address: unmapped(address), port: id.readUInt16BE(portAt) };
  };
  return {
    local: end(0, 4),
    remote: end(2, 20),
    idleMs: Math.min(
      info.readUInt32LE(LIFE_SIGNS.dataSent),
      info.readUInt32LE(LIFE_SIGNS.dataReceived),
      info.readUInt32LE(LIFE_SIGNS.ackReceived),
    ),
    handle: { family, id: new Uint8Array(id) },
  };
}

/** The kernel resets the connection: the process sees ECONNABORTED, the peer a reset in sequence. */
export function destroySocket({ handle }: TcpSocket): Uint8Array {
  const fixed = Buffer.alloc(REQUEST_BYTES + ID_BYTES);
  fixed[0] = handle.family;
  fixed[1] = IPPROTO_TCP;
  fixed.writeUInt32LE(ALL_STATES, 4);
  fixed.set(handle.id, REQUEST_BYTES);
  return encodeMessage({ type: SOCK_DESTROY, flags: NLM_F_ACK, fixed });
}

/** "::ffff:a00:115" is 10.0.1.21. */
function unmapped(address: string): string {
  if (!address.startsWith(MAPPED_PREFIX)) return address;
  const [high = "", low = ""] = address.slice(MAPPED_PREFIX.length).split(":");
  if (high.includes(".")) return high;
  const [upper, lower] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return `${upper >> 8}.${upper & 255}.${lower >> 8}.${lower & 255}`;
}
