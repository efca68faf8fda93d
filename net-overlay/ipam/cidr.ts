/**
 * Addresses and prefixes of both families as numbers that can be compared, cut and counted.
 * Pure. Invariant: a `Cidr` has no host bits set. Source: RFC 4632 (prefixes),
 * RFC 4291 section 2.2 (IPv6 text).
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

export type IpFamily = 4 | 6;

export interface Cidr {
  readonly family: IpFamily;
  /** The network address as an integer. */
  readonly base: bigint;
  /** Prefix length in bits: 0…32 or 0…128. */
  readonly prefix: number;
}

const BITS: Record<IpFamily, number> = { 4: 32, 6: 128 };

/** @returns the number of addresses a prefix spans. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << BigInt(BITS[cidr.family] - cidr.prefix);
}

/** Whether the text is an IPv4 address and nothing else. */
export function isIpv4(text: string): boolean {
  return parseIpv4(text) !== undefined;
}

/** @throws {InvalidArgumentError} when the text is not an IPv4 or IPv6 address. */
export function parseAddress(text: string): { family: IpFamily; value: bigint } {
  const value = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  if (value === undefined) throw new InvalidArgumentError(`"${text}" is not an IP address`);
  return { family: text.includes(":") ? 6 : 4, value };
}

/**
 * @returns the prefix with its host bits cleared: "10.0.1.7/24" gives 10.0.1.0/24.
 * @throws {InvalidArgumentError} when the text is not ADDRESS/LENGTH.
 */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf("/");
  const length = text.slice(slash + 1);
  if (slash < 0 || !/^\d{1,3}$/.test(length)) {
    throw new InvalidArgumentError(`"${text}" is not a subnet: want ADDRESS/LENGTH, as in 10.0.1.0/24`);
  }
  const { family, value } = parseAddress(text.slice(0, slash));
  const prefix = Number(length);
  if (prefix > BITS[family]) {
    throw new InvalidArgumentError(`"${text}" is not a subnet: the length must be at most ${BITS[family]}`);
  }
  const hostBits = BigInt(BITS[family] - prefix);
  return { family, base: (value >> hostBits) << hostBits, prefix };
}

export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.family, cidr.base)}/${cidr.prefix}`;
}

export function cidrContains(cidr: Cidr, address: { family: IpFamily; value: bigint }): boolean {
  return (
    cidr.family === address.family && address.value >= cidr.base && address.value - cidr.base < cidrSize(cidr)
  );
}

export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  if (a.family !== b.family) return false;
  return a.prefix <= b.prefix
    ? cidrContains(a, { family: b.family, value: b.base })
    : cidrContains(b, { family: a.family, value: a.base });
}

/** Text of an address; IPv6 with its longest run of zero groups shortened (RFC 5952). */
export function formatAddress(family: IpFamily, value: bigint): string {
  if (family === 4) {
    const number = Number(value);
    return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  );
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return groups.join(":");
  return `${groups.slice(0, best.start).join(":")}::${groups.slice(best.start + best.length).join(":")}`;
}

function parseIpv4(text: string): bigint | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0n;
  for (const part of match.slice(1)) {
    if (Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? "");
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "") : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  let value = 0n;
  for (const group of [...head, ...Array<number>(missing).fill(0), ...tail])
    value = (value << 16n) | BigInt(group);
  return value;
}

function groupsOf(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (part.includes(".") && i === parts.length - 1) {
      const v4 = parseIpv4(part);
      if (v4 === undefined) return undefined;
      groups.push(Number(v4 >> 16n), Number(v4 & 0xffffn));
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}
