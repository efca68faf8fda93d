/**
 * Is a text an address? Pure.
 * Written out in full: "10.1" and "0x7f.1", which some readers take for addresses, are none here.
 */
import ipaddr from "ipaddr.js";

export function isIpv4(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text);
}

/** Without a zone. */
export function isIpv6(text: string): boolean {
  return !text.includes("%") && ipaddr.IPv6.isValid(text);
}

export function isIp(text: string): boolean {
  return isIpv4(text) || isIpv6(text);
}
