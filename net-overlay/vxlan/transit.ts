/**
 * Arithmetic of the routing mesh's transit network and of the tunnel end points:
 * everything follows from a node's number, so that no two nodes ever have to agree on it.
 * Pure. Invariant: number → subnet and number → MAC are one to one. Source: design note "control plane".
 *
 *   node number n (1…16383)   subnet 100.64.0.0 + n·256, /24      MAC 02:99:00:00:hh:ll  (hh·256 + ll = n)
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { formatAddress } from "../ipam/cidr.js";

export const NODE_NUMBER_MIN = 1;
/** 100.64.0.0/10 holds 16384 subnets of /24; number 0 is nobody's. */
export const NODE_NUMBER_MAX = 16_383;
/** VXLAN network identifier of the transit network. */
export const TRANSIT_VNI = 4_096;
/** The whole transit range. Source: RFC 6598. */
export const TRANSIT_RANGE = "100.64.0.0/10";
export const TRANSIT_PREFIX = 24;

/** The whole transit range of IPv6: a /64 per node, a task's host number is that of its IPv4 address. */
export const TRANSIT_RANGE_IPV6 = "fd53:6b65:696e::/48";

const TRANSIT_BASE = 0x6440_0000n;

function checkNumber(number: number): void {
  if (!isPeerNumber(number)) {
    throw new InvalidArgumentError(
      `a node number must be an integer from ${NODE_NUMBER_MIN} to ${NODE_NUMBER_MAX}, got ${number}`,
    );
  }
}

/** @returns the node's transit subnet, "100.64.1.0/24" for number 1. @throws {InvalidArgumentError} */
export function transitSubnet(number: number): string {
  return `${transitAddress(number, 0)}/${TRANSIT_PREFIX}`;
}

/**
 * @param host 0 for the node itself (the route's next hop), 1…254 for its tasks.
 * @returns an address of the node's transit subnet without prefix length. @throws {InvalidArgumentError}
 */
export function transitAddress(number: number, host: number): string {
  checkNumber(number);
  if (!Number.isInteger(host) || host < 0 || host > 255) {
    throw new InvalidArgumentError(`a transit host part must be an integer from 0 to 255, got ${host}`);
  }
  return formatAddress(4, TRANSIT_BASE + BigInt(number) * 256n + BigInt(host));
}

/**
 * @returns the node's transit subnet of IPv6, "fd53:6b65:696e:1::/64" for number 1.
 * @throws {InvalidArgumentError}
 */
export function transitSubnetIpv6(number: number): string {
  checkNumber(number);
  return `fd53:6b65:696e:${number.toString(16)}::/64`;
}

/**
 * The IPv6 address that goes with a transit address: 100.64.1.5 has fd53:6b65:696e:1::5.
 * @param address an IPv4 address of the transit range.
 */
export function transitIpv6(address: string): string {
  const [, high = 0, low = 0, host = 0] = address.split(".").map(Number);
  return `fd53:6b65:696e:${((high - 64) * 256 + low).toString(16)}::${host.toString(16)}`;
}

/** Whether an address is in the transit range of its family: some node's own, or of one of its tasks. */
export function isTransitAddress(address: string): boolean {
  if (address.includes(":")) return address.startsWith(TRANSIT_RANGE_IPV6.slice(0, -"/48".length - 1));
  const [first, second] = address.split(".").map(Number);
  return first === 100 && second !== undefined && second >= 64 && second < 128;
}

/** Whether the number can be a node's. */
export function isPeerNumber(number: number): boolean {
  return Number.isInteger(number) && number >= NODE_NUMBER_MIN && number <= NODE_NUMBER_MAX;
}

/** Whether the text is an address that this node may give to a task. */
export function isTransitAddressOf(number: number, address: string): boolean {
  if (!isPeerNumber(number)) return false;
  const subnet = `100.${64 + (number >> 8)}.${number & 255}.`; // no arithmetic: asked very often
  if (!address.startsWith(subnet)) return false;
  const host = address.slice(subnet.length);
  return /^(0|[1-9]\d{0,2})$/.test(host) && Number(host) <= 255;
}

/** @returns the MAC address of the node's tunnel end point. @throws {InvalidArgumentError} */
export function vtepMac(number: number): string {
  checkNumber(number);
  const hex = (byte: number): string => byte.toString(16).padStart(2, "0");
  return `02:99:00:00:${hex(number >> 8)}:${hex(number & 255)}`;
}

/** @returns the node number a MAC stands for; undefined when it is not one of ours. */
export function nodeNumberOfMac(mac: string): number | undefined {
  const match = /^02:99:00:00:([0-9a-f]{2}):([0-9a-f]{2})$/i.exec(mac);
  if (match === null) return undefined;
  const number = Number.parseInt(`${match[1]}${match[2]}`, 16);
  return number >= NODE_NUMBER_MIN && number <= NODE_NUMBER_MAX ? number : undefined;
}
