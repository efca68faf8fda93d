/**
 * What the data plane derives from a node's number beside its transit subnet: next hop, mark,
 * conntrack zone, routing table.
 * Pure. Invariant: no two nodes of a cluster share any of these, because numbers are unique (1 … 16383).
 * Source: docs/design/network.md; 169.254.0.0/16 is link-local (RFC 3927).
 */
import { parseAddress } from "../ipam/cidr.js";
import { transitAddress, transitIpv6 } from "./transit.js";

/**
 * Bit 30 says "belongs to the mesh", bits 16-29 are the entry node's number; the low 16 are others'
 * (kube-proxy uses 14 and 15).
 */
export const MESH_MARK_FLAG = 0x4000_0000;
export const MESH_MARK_MASK = 0x7fff_0000;
const MESH_TABLE_BASE = 1_000_000;

/** First and last host part of the addresses a node gives to its tasks; .1 is the node itself. */
export const GATEWAY_HOST_MIN = 2;
export const GATEWAY_HOST_MAX = 254;

/** The node's own address on the transit network, also its tasks' default gateway. */
export function transitGateway(number: number): string {
  return transitAddress(number, 1);
}

/** The same of IPv6. */
export function transitGatewayIpv6(number: number): string {
  return transitIpv6(transitGateway(number));
}

/** Next hop of a node inside overlay namespaces: link-local, never seen by tasks. */
export function tunnelAddress(number: number): string {
  return `169.254.${number >> 8}.${number & 0xff}`;
}

/**
 * Next hop of a node inside overlay namespaces for IPv6: link-local, never seen by tasks. Nobody is asked for
 * it: the neighbour is permanent.
 */
export function tunnelAddress6(number: number): string {
  return `fe80::${number.toString(16)}`;
}

/** The node number of such a next hop, of either family; undefined for others. */
export function nodeNumberOfTunnel(address: string): number | undefined {
  const ip6 = /^fe80::([0-9a-f]{1,4})$/.exec(address);
  if (ip6 !== null) return Number.parseInt(ip6[1] ?? "", 16);
  const [first, second, high, low] = address.split(".").map(Number);
  return first === 169 && second === 254 ? (high ?? 0) * 256 + (low ?? 0) : undefined;
}

/**
 * MAC of a task's interface: 02:42 and the four bytes of its IPv4 address, or the last four of its IPv6 one.
 * @param address of IPv6 as the kernel writes it, or of IPv4.
 */
export function taskMac(address: string): string {
  if (address.includes(":")) {
    const { value } = parseAddress(address);
    const hex = (value & 0xffff_ffffn).toString(16).padStart(8, "0");
    return `02:42:${[0, 2, 4, 6].map((at) => hex.slice(at, at + 2)).join(":")}`;
  }
  return ["02", "42", ...address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"))].join(
    ":",
  );
}

export function meshMark(number: number): number {
  return MESH_MARK_FLAG + number * 0x1_0000;
}

/** Conntrack zone of connections that came in by this node. */
export function meshZone(number: number): number {
  return number;
}

/** Routing table whose default route leads back to this node. */
export function meshTable(number: number): number {
  return MESH_TABLE_BASE + number;
}

/** The node number of such a table; undefined for others. */
export function nodeNumberOfTable(table: number): number | undefined {
  const number = table - MESH_TABLE_BASE;
  return number >= 1 && number <= 16_383 ? number : undefined;
}
