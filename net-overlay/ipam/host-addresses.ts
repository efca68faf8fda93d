/**
 * What may name a place of a node where a port is open, or the clients that may use it: addresses, interface
 * names, subnets.
 * Pure. Invariant: what passes is safe to stand in an nft ruleset. Source: net/core/dev.c of Linux
 * (`dev_valid_name`); of its names those that need no quoting are taken.
 */
import { codeOf } from "../../base/errors/errors.js";
import { formatAddress, isIpv4, parseAddress, parseCidr } from "./cidr.js";

/** An IPv4 or IPv6 address without zone or prefix. */
export function isAddress(text: string): boolean {
  return isIpv4(text) || isIpv6(text);
}

export function isIpv6(text: string): boolean {
  return text.includes(":") && isParsed(() => parseAddress(text));
}

/** At most 15 characters; a name never looks like an address. */
export function isInterfaceName(text: string): boolean {
  return /^[A-Za-z0-9_.@-]{1,15}$/.test(text) && !/^\.{1,2}$|^[\d.]+$/.test(text);
}

/** An address as the kernel writes it, a name as it is. */
export function canonicalPlace(place: string): string {
  if (!isIpv6(place)) return place;
  return formatAddress(6, parseAddress(place).value);
}

/** ADDRESS/LENGTH of either family. */
export function isSubnet(text: string): boolean {
  return isParsed(() => parseCidr(text));
}

function isParsed(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    if (codeOf(error) === "invalid-argument") return false;
    throw error;
  }
}
