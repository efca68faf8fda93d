/**
 * Bytes of rtnetlink messages: header, fixed part, attributes.
 * Pure. Invariant: everything is padded to four bytes and host-endian (little on the machines we run on),
 * addresses in network order.
 * Source: rtnetlink(7), netlink(7), linux/rtnetlink.h.
 */

import { formatAddress, parseAddress } from "../ipam/cidr.js";

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
const HEADER_BYTES = 16;

export interface Attribute {
  readonly type: number;
  readonly value: Uint8Array;
}

export function encodeMessage(options: {
  type: number;
  flags: number;
  fixed: Uint8Array;
  attributes?: readonly Attribute[];
}): Uint8Array {
  const body = Buffer.concat([pad(options.fixed), encodeAttributes(options.attributes ?? [])]);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(HEADER_BYTES + body.length, 0);
  header.writeUInt16LE(options.type, 4);
  header.writeUInt16LE(options.flags | NLM_F_REQUEST, 6);
  return Buffer.concat([header, body]);
}

export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  return Buffer.concat(
    attributes.map(({ type, value }) => {
      const head = Buffer.alloc(4);
      head.writeUInt16LE(4 + value.length, 0);
      head.writeUInt16LE(type, 2);
      return pad(Buffer.concat([head, value]));
    }),
  );
}

export function nested(
  type: number,
  attributes: readonly Attribute[],
  prefix: Uint8Array = new Uint8Array(),
): Attribute {
  return { type, value: Buffer.concat([pad(prefix), encodeAttributes(attributes)]) };
}

export function u8(type: number, value: number): Attribute {
  return { type, value: Uint8Array.of(value) };
}

export function u32(type: number, value: number): Attribute {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value, 0);
  return { type, value: bytes };
}

/** 16 bits in network order, as ports are. */
export function port16(type: number, value: number): Attribute {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value, 0);
  return { type, value: bytes };
}

export function text(type: number, value: string): Attribute {
  return { type, value: Buffer.from(`${value}\0`) };
}

export function ipv4(type: number, address: string): Attribute {
  return { type, value: Uint8Array.from(address.split(".").map(Number)) };
}

/** An address of either family. */
export function ip(type: number, address: string): Attribute {
  return address.includes(":") ? { type, value: ipv6Bytes(address) } : ipv4(type, address);
}

/** @throws {InvalidArgumentError} when it is none. */
export function ipv6Bytes(address: string): Uint8Array {
  const { value } = parseAddress(address);
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(value >> 64n, 0);
  bytes.writeBigUInt64BE(value & 0xffff_ffff_ffff_ffffn, 8);
  return bytes;
}

export function mac(type: number, address: string): Attribute {
  return { type, value: Uint8Array.from(address.split(":").map((part) => Number.parseInt(part, 16))) };
}

/** The fixed part of an answer and its attributes by type. Nested ones stay bytes. */
export function decodePayload(
  payload: Uint8Array,
  fixedBytes: number,
): { fixed: Buffer; attributes: Map<number, Buffer> } {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  return {
    fixed: bytes.subarray(0, fixedBytes),
    attributes: decodeAttributes(bytes.subarray(aligned(fixedBytes))),
  };
}

export function decodeAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  let offset = 0;
  while (offset + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(offset);
    if (length < 4 || offset + length > bytes.length) break;
    // upper bits: nested, byte order
    attributes.set(bytes.readUInt16LE(offset + 2) & 0x3fff, bytes.subarray(offset + 4, offset + length));
    offset += aligned(length);
  }
  return attributes;
}

function readIpv4(bytes: Buffer | undefined): string | undefined {
  return bytes?.length === 4 ? [...bytes].join(".") : undefined;
}

/** An address of either family, by its length. */
export function readIp(bytes: Buffer | undefined): string | undefined {
  if (bytes?.length !== 16) return readIpv4(bytes);
  return formatAddress(6, (bytes.readBigUInt64BE(0) << 64n) | bytes.readBigUInt64BE(8));
}

export function readMac(bytes: Buffer | undefined): string | undefined {
  return bytes?.length === 6
    ? [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":")
    : undefined;
}

export function readText(bytes: Buffer | undefined): string | undefined {
  return bytes?.toString("utf8").replace(/\0.*$/s, "");
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

function pad(bytes: Uint8Array): Uint8Array {
  return bytes.length % 4 === 0
    ? bytes
    : Buffer.concat([bytes, new Uint8Array(aligned(bytes.length) - bytes.length)]);
}
