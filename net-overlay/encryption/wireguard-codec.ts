/**
 * The generic netlink requests of WireGuard, and what we read of the answers.
 * Pure. Invariants: keys appear in messages to and from the kernel alone; a peer that the kernel tells in
 * several messages comes out once.
 * Source: linux/wireguard.h and linux/genetlink.h of Linux 5.6, the first with WireGuard.
 */
import type { Attribute } from "../dataplane/rtnetlink-codec.js";
import {
  decodeAttributes,
  decodePayload,
  encodeMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  nested as nestedAttribute,
  text,
  u8,
  u32,
} from "../dataplane/rtnetlink-codec.js";
import { formatAddress, parseAddress } from "../ipam/cidr.js";

const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR = { familyId: 1, familyName: 2 } as const;
const WG_GENL_NAME = "wireguard";
const WG_CMD = { getDevice: 0, setDevice: 1 } as const;
const WGDEVICE = {
  ifname: 2,
  privateKey: 3,
  publicKey: 4,
  flags: 5,
  listenPort: 6,
  peers: 8,
} as const;
const WGPEER = {
  publicKey: 1,
  presharedKey: 2,
  flags: 3,
  endpoint: 4,
  lastHandshakeTime: 6,
  rxBytes: 7,
  txBytes: 8,
  allowedIps: 9,
} as const;
const WGALLOWEDIP = { family: 1, address: 2, prefixLength: 3 } as const;
const WGPEER_F = { removeMe: 1, replaceAllowedIps: 2, updateOnly: 4 } as const;
const AF_INET = 2;
const AF_INET6 = 10;
/** WireGuard's policies are strict: nested attributes must say that they are. */
const NLA_F_NESTED = 0x8000;
const KEY_BYTES = 32;
/** Peers of one message, so that none comes near the 64 KiB that an attribute holds. */
export const PEERS_PER_MESSAGE_MAX = 100;

export interface WireguardEndpoint {
  /** IPv4 or IPv6. */
  readonly address: string;
  readonly port: number;
}

/** What of a peer is to be set; what is undefined stays. */
export interface PeerChange {
  readonly publicKey: Uint8Array;
  readonly remove?: boolean;
  /** Only if the peer is there. */
  readonly updateOnly?: boolean;
  /** 32 bytes. */
  readonly presharedKey?: Uint8Array;
  readonly endpoint?: WireguardEndpoint;
  /** The one inside address that the peer may use; IPv4. Takes it away from any other peer. */
  readonly insideAddress?: string;
}

export interface KernelPeer {
  readonly publicKey: Uint8Array;
  /** All zeros: none. */
  readonly presharedKey: Uint8Array;
  /** Where the peer was heard of last; follows the peer. */
  readonly endpoint: WireguardEndpoint | undefined;
  readonly insideAddresses: readonly string[];
  /** Milliseconds since 1970; undefined: never. */
  readonly lastHandshakeMs: number | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface KernelDevice {
  /** All zeros: none. */
  readonly privateKey: Uint8Array;
  /** 0: none yet. */
  readonly listenPort: number;
  readonly peers: readonly KernelPeer[];
}

/** Asks for the number of WireGuard's family, and thereby loads the module. */
export function getWireguardFamily(): Uint8Array {
  return encodeMessage({
    type: GENL_ID_CTRL,
    flags: NLM_F_ACK,
    fixed: genericHeader(CTRL_CMD_GETFAMILY),
    attributes: [text(CTRL_ATTR.familyName, WG_GENL_NAME)],
  });
}

/** @returns the family's number; undefined when the answer has none. */
export function decodeFamily(payload: Uint8Array): number | undefined {
  return decodePayload(payload, 4).attributes.get(CTRL_ATTR.familyId)?.readUInt16LE(0);
}

export function dumpWireguard(family: number, name: string): Uint8Array {
  return encodeMessage({
    type: family,
    flags: NLM_F_DUMP,
    fixed: genericHeader(WG_CMD.getDevice),
    attributes: [text(WGDEVICE.ifname, name)],
  });
}

/** @param options.peers at most PEERS_PER_MESSAGE_MAX; others of the device stay. */
export function setWireguard(
  family: number,
  options: {
    name: string;
    privateKey?: Uint8Array;
    /** 0: the kernel chooses. */
    listenPort?: number;
    peers?: readonly PeerChange[];
  },
): Uint8Array {
  const { name, privateKey, listenPort, peers = [] } = options;
  return encodeMessage({
    type: family,
    flags: NLM_F_ACK,
    fixed: genericHeader(WG_CMD.setDevice),
    attributes: [
      text(WGDEVICE.ifname, name),
      ...(privateKey === undefined ? [] : [{ type: WGDEVICE.privateKey, value: privateKey }]),
      ...(listenPort === undefined ? [] : [u16(WGDEVICE.listenPort, listenPort)]),
      ...(peers.length === 0
        ? []
        : [
            nested(
              WGDEVICE.peers,
              peers.map((peer) => nested(0, peerAttributes(peer))),
            ),
          ]),
    ],
  });
}

function peerAttributes(peer: PeerChange): Attribute[] {
  const { publicKey, presharedKey, endpoint, insideAddress } = peer;
  const flags =
    (peer.remove ? WGPEER_F.removeMe : 0) |
    (peer.updateOnly ? WGPEER_F.updateOnly : 0) |
    (insideAddress === undefined ? 0 : WGPEER_F.replaceAllowedIps);
  return [
    { type: WGPEER.publicKey, value: publicKey },
    u32(WGPEER.flags, flags),
    ...(presharedKey === undefined ? [] : [{ type: WGPEER.presharedKey, value: presharedKey }]),
    ...(endpoint === undefined ? [] : [{ type: WGPEER.endpoint, value: encodeEndpoint(endpoint) }]),
    ...(insideAddress === undefined
      ? []
      : [
          nested(WGPEER.allowedIps, [
            nested(0, [
              u16(WGALLOWEDIP.family, AF_INET),
              { type: WGALLOWEDIP.address, value: ipv4Bytes(insideAddress) },
              u8(WGALLOWEDIP.prefixLength, 32),
            ]),
          ]),
        ]),
  ];
}

/** @param payloads of one dump, in their order. */
export function decodeWireguard(payloads: readonly Uint8Array[]): KernelDevice {
  let privateKey: Uint8Array = new Uint8Array(KEY_BYTES);
  let listenPort = 0;
  const peers: KernelPeer[] = [];
  for (const payload of payloads) {
    const { attributes } = decodePayload(payload, 4);
    privateKey = copied(attributes.get(WGDEVICE.privateKey)) ?? privateKey;
    listenPort = attributes.get(WGDEVICE.listenPort)?.readUInt16LE(0) ?? listenPort;
    for (const bytes of items(attributes.get(WGDEVICE.peers))) {
      const peer = decodePeer(bytes);
      const last = peers.at(-1);
      // a peer whose addresses did not fit goes on in the next message, with its public key again
      if (last !== undefined && Buffer.compare(last.publicKey, peer.publicKey) === 0) {
        peers[peers.length - 1] = {
          ...last,
          insideAddresses: [...last.insideAddresses, ...peer.insideAddresses],
        };
      } else peers.push(peer);
    }
  }
  return { privateKey, listenPort, peers };
}

function decodePeer(bytes: Buffer): KernelPeer {
  const values = decodeAttributes(bytes);
  const handshake = values.get(WGPEER.lastHandshakeTime);
  const seconds = Number(handshake?.readBigInt64LE(0) ?? 0n);
  const nanoseconds = Number(handshake?.readBigInt64LE(8) ?? 0n);
  return {
    publicKey: copied(values.get(WGPEER.publicKey)) ?? new Uint8Array(KEY_BYTES),
    presharedKey: copied(values.get(WGPEER.presharedKey)) ?? new Uint8Array(KEY_BYTES),
    endpoint: decodeEndpoint(values.get(WGPEER.endpoint)),
    insideAddresses: items(values.get(WGPEER.allowedIps)).flatMap((item) => {
      const address = decodeAttributes(item).get(WGALLOWEDIP.address);
      return address?.length === 4 ? [[...address].join(".")] : [];
    }),
    lastHandshakeMs: seconds === 0 ? undefined : seconds * 1000 + Math.floor(nanoseconds / 1e6),
    receivedBytes: Number(values.get(WGPEER.rxBytes)?.readBigUInt64LE(0) ?? 0n),
    sentBytes: Number(values.get(WGPEER.txBytes)?.readBigUInt64LE(0) ?? 0n),
  };
}

function genericHeader(command: number): Uint8Array {
  return Uint8Array.of(command, 1, 0, 0);
}

function nested(type: number, attributes: readonly Attribute[]): Attribute {
  return nestedAttribute(type | NLA_F_NESTED, attributes);
}

/** 16 bits in the host's order, unlike ports elsewhere. */
function u16(type: number, value: number): Attribute {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value, 0);
  return { type, value: bytes };
}

function items(list: Buffer | undefined): Buffer[] {
  const found: Buffer[] = [];
  let offset = 0;
  while (list !== undefined && offset + 4 <= list.length) {
    const length = list.readUInt16LE(offset);
    if (length < 4 || offset + length > list.length) break;
    found.push(list.subarray(offset + 4, offset + length));
    offset += (length + 3) & ~3;
  }
  return found;
}

function copied(bytes: Buffer | undefined): Uint8Array | undefined {
  return bytes === undefined ? undefined : new Uint8Array(bytes);
}

/** struct sockaddr_in or sockaddr_in6. */
function encodeEndpoint({ address, port }: WireguardEndpoint): Uint8Array {
  const isV6 = address.includes(":");
  const bytes = Buffer.alloc(isV6 ? 28 : 16);
  bytes.writeUInt16LE(isV6 ? AF_INET6 : AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(isV6 ? ipv6Bytes(address) : ipv4Bytes(address), isV6 ? 8 : 4);
  return bytes;
}

function decodeEndpoint(bytes: Buffer | undefined): WireguardEndpoint | undefined {
  if (bytes === undefined || bytes.length < 16) return undefined;
  const family = bytes.readUInt16LE(0);
  const port = bytes.readUInt16BE(2);
  if (family === AF_INET) return { address: [...bytes.subarray(4, 8)].join("."), port };
  if (family !== AF_INET6 || bytes.length < 28) return undefined;
  return { address: formatAddress(6, BigInt(`0x${bytes.subarray(8, 24).toString("hex")}`)), port };
}

function ipv4Bytes(address: string): Uint8Array {
  return Uint8Array.from(address.split(".").map(Number));
}

function ipv6Bytes(address: string): Uint8Array {
  return Buffer.from(parseAddress(address).value.toString(16).padStart(32, "0"), "hex");
}
