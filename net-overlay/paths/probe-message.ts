/**
 * The datagrams that nodes send each other through a tunnel of their own, to see what gets through.
 * Pure. Invariants: a message is as long as it says; what was changed on its way is no message: the
 * checksum over all of it finds that out where the kernel's was left out or wrong.
 *
 *   magic (4) | version (1) | kind (1) | reserved (2) | nonce (8) | CRC-32 of all else (4) | length (2)
 *   | pattern
 */
import { crc32 } from "node:zlib";

const MAGIC = 0x736b_7072; // "skpr"
const VERSION = 1;
const HEADER_BYTES = 22;
const OFFSET = { magic: 0, version: 4, kind: 5, nonce: 8, crc: 16, length: 20 } as const;
const KINDS = ["question", "answer"] as const;
/** IPv4 and UDP in front of the message. */
export const IP_UDP_BYTES = 28;
/** The smallest IP packet that holds a message. */
export const PROBE_BYTES_MIN = HEADER_BYTES + IP_UDP_BYTES;

export interface Probe {
  readonly kind: (typeof KINDS)[number];
  readonly nonce: bigint;
  /** Of the IP packet that carries it. */
  readonly packetBytes: number;
}

export function encodeProbe({ kind, nonce, packetBytes }: Probe): Buffer {
  const message = Buffer.alloc(Math.max(packetBytes, PROBE_BYTES_MIN) - IP_UDP_BYTES);
  for (let at = HEADER_BYTES; at < message.length; at += 1)
    message[at] = (at * 31 + Number(nonce & 0xffn)) & 255;
  message.writeUInt32BE(MAGIC, OFFSET.magic);
  message.writeUInt8(VERSION, OFFSET.version);
  message.writeUInt8(KINDS.indexOf(kind), OFFSET.kind);
  message.writeBigUInt64BE(nonce, OFFSET.nonce);
  message.writeUInt16BE(message.length, OFFSET.length);
  message.writeUInt32BE(crc32(message), OFFSET.crc);
  return message;
}

/** @returns undefined when it is none of ours, or was damaged. */
export function decodeProbe(message: Uint8Array): Probe | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const bytes = Buffer.from(message); // a copy: the checksum's own place is cleared
  if (bytes.readUInt32BE(OFFSET.magic) !== MAGIC || bytes.readUInt8(OFFSET.version) !== VERSION)
    return undefined;
  if (bytes.readUInt16BE(OFFSET.length) !== bytes.length) return undefined;
  const kind = KINDS[bytes.readUInt8(OFFSET.kind)];
  const sum = bytes.readUInt32BE(OFFSET.crc);
  bytes.writeUInt32BE(0, OFFSET.crc);
  if (kind === undefined || crc32(bytes) !== sum) return undefined;
  return { kind, nonce: bytes.readBigUInt64BE(OFFSET.nonce), packetBytes: bytes.length + IP_UDP_BYTES };
}
