/**
 * MAC addresses of endpoints. Pure. 02:42 and the IPv4 address, as Docker's were for a decade: an address
 * that is given again is the same neighbour to everybody's cache.
 */

/** @param seed hexadecimal digits, where there is no IPv4 address. */
export function endpointMac(ipv4Address: string | undefined, seed: string): string {
  const bytes =
    ipv4Address === undefined || ipv4Address === ""
      ? [0, 2, 4, 6].map((at) => Number.parseInt(seed.slice(at, at + 2), 16))
      : ipv4Address.split(".").map(Number);
  return ["02", "42", ...bytes.map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}
