/**
 * The PROXY protocol's header, version 2: who a connection is from, told to the server before its first byte.
 * Pure. Invariant: what is encoded and decoded again is the same.
 * Source: the PROXY protocol's specification (haproxy.org, proxy-protocol.txt), section 2.2.
 *
 *   signature (12) | version 2, command (1) | family, transport (1) | length of the rest (2)
 *   | source address, destination address, source port, destination port
 */
import { formatAddress, isIpv4, parseAddress } from "../ipam/cidr.js";

const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const HEAD_BYTES = 16;
const VERSION = 0x20;
const COMMAND = { local: 0, proxy: 1 } as const;
/** Family in the upper half, stream in the lower. */
const TCP_OVER = { 4: 0x11, 6: 0x21 } as const;
const ADDRESS_BYTES = { 4: 4, 6: 16 } as const;
/** What comes before a mapped IPv4 address. Source: RFC 4291, section 2.5.5.2. */
const MAPPED = 0xffffn << 32n;

export interface ProxyEnd {
  readonly address: string;
  readonly port: number;
}

export interface ProxyHeader {
  readonly source: ProxyEnd;
  readonly destination: ProxyEnd;
}

/** @param header ends of one family, or of both: then IPv4 is told as mapped into IPv6. */
export function encodeProxyHeader({ source, destination }: ProxyHeader): Buffer {
  const family = isIpv4(source.address) && isIpv4(destination.address) ? 4 : 6;
  const size = ADDRESS_BYTES[family];
  const bytes = Buffer.alloc(HEAD_BYTES + 2 * size + 4);
  SIGNATURE.copy(bytes);
  bytes.writeUInt8(VERSION | COMMAND.proxy, 12);
  bytes.writeUInt8(TCP_OVER[family], 13);
  bytes.writeUInt16BE(2 * size + 4, 14);
  writeAddress(bytes, HEAD_BYTES, source.address, family);
  writeAddress(bytes, HEAD_BYTES + size, destination.address, family);
  bytes.writeUInt16BE(source.port, HEAD_BYTES + 2 * size);
  bytes.writeUInt16BE(destination.port, HEAD_BYTES + 2 * size + 2);
  return bytes;
}

/**
 * For tests and tools: servers read it themselves.
 * @returns the header, undefined when it says nothing of the ends (a check by the proxy itself, a family that
 * is not spoken), and how many bytes it took; "more": it is not whole yet; "none": there is no header.
 */
export function decodeProxyHeader(
  bytes: Buffer,
): { readonly header: ProxyHeader | undefined; readonly bytes: number } | "more" | "none" {
  const begin = bytes.subarray(0, SIGNATURE.length);
  if (!SIGNATURE.subarray(0, begin.length).equals(begin)) return "none";
  if (bytes.length < HEAD_BYTES) return "more";
  const command = bytes.readUInt8(12);
  if ((command & 0xf0) !== VERSION) return "none";
  const length = bytes.readUInt16BE(14);
  if (bytes.length < HEAD_BYTES + length) return "more";
  const whole = HEAD_BYTES + length;
  const kind = bytes.readUInt8(13);
  const family = kind === TCP_OVER[4] ? 4 : kind === TCP_OVER[6] ? 6 : undefined;
  if ((command & 0x0f) !== COMMAND.proxy || family === undefined || length < 2 * ADDRESS_BYTES[family] + 4)
    return { header: undefined, bytes: whole };
  const size = ADDRESS_BYTES[family];
  const end = (index: 0 | 1): ProxyEnd => ({
    address: readAddress(bytes.subarray(HEAD_BYTES + index * size, HEAD_BYTES + (index + 1) * size)),
    port: bytes.readUInt16BE(HEAD_BYTES + 2 * size + 2 * index),
  });
  return { header: { source: end(0), destination: end(1) }, bytes: whole };
}

function writeAddress(bytes: Buffer, offset: number, address: string, family: 4 | 6): void {
  const parsed = parseAddress(address);
  if (family === 4) {
    bytes.writeUInt32BE(Number(parsed.value), offset);
    return;
  }
  const value = parsed.family === 4 ? MAPPED | parsed.value : parsed.value;
  bytes.writeBigUInt64BE(value >> 64n, offset);
  bytes.writeBigUInt64BE(value & 0xffff_ffff_ffff_ffffn, offset + 8);
}

function readAddress(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join(".");
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index));
  const value = groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
  if (value >> 32n === 0xffffn) return [...bytes.subarray(12)].join(".");
  return formatAddress(6, value);
}
