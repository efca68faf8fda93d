/**
 * Host:port texts and the addresses of this machine. Edge: to node:os for interfaces.
 * Rules as Docker's: an address flag takes an IP or an interface name, with or without a port.
 */
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { InvalidArgumentError } from "../base/errors/errors.js";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** "10.0.0.1:2377", "[fd00::1]:2377", "eth0:2377", "10.0.0.1". @throws {InvalidArgumentError} */
export function parseHostPort(text: string, defaultPort: number): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text);
  const bare = isIP(text) === 6 ? text : undefined;
  const host = bare ?? match?.[1] ?? match?.[2];
  const port = bare === undefined && match?.[3] !== undefined ? Number(match[3]) : defaultPort;
  if (host === undefined || host === "" || port < 1 || port > 65_535) {
    throw new InvalidArgumentError(
      `address must be HOST or HOST:PORT with a port of 1 to 65535, got ${JSON.stringify(text)}`,
    );
  }
  return { host, port };
}

export function formatHostPort({ host, port }: HostPort): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** IPv4 first, loopback and link-local left out. */
export function machineAddresses(): readonly { readonly name: string; readonly address: string }[] {
  const found: { name: string; address: string }[] = [];
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) {
      if (!internal && family === "IPv4" && !address.startsWith("169.254.")) found.push({ name, address });
    }
  }
  return found;
}

/**
 * The IP behind an address flag; "" picks the machine's only address.
 * @throws {InvalidArgumentError} unknown interface, or several addresses to choose from.
 */
export function resolveAddress(text: string, flag: string): string {
  const addresses = machineAddresses().filter(({ name }) => !/^(skein|vx|gw|docker)/.test(name));
  if (text === "") {
    const [only, ...others] = addresses;
    if (only === undefined)
      throw new InvalidArgumentError(`this host has no address other nodes could use: give ${flag}`);
    if (others.length > 0) {
      throw new InvalidArgumentError(
        "could not choose an IP address to advertise since this system has multiple addresses " +
          `on different interfaces (${addresses
            .map(({ name, address }) => `${address} on ${name}`)
            .join(", ")}): give ${flag}`,
      );
    }
    return only.address;
  }
  if (isIP(text) !== 0) return text;
  const onInterface = machineAddresses().find(({ name }) => name === text);
  if (onInterface === undefined)
    throw new InvalidArgumentError(
      `${flag} must be an IP address or the name of an interface with one, got ${JSON.stringify(text)}`,
    );
  return onInterface.address;
}

/**
 * As `resolveAddress`, for a text that may carry a port, which is kept.
 * @throws {InvalidArgumentError} unknown interface, bad port.
 */
export function resolveHostPort(text: string, flag: string): string {
  const { host, port } = parseHostPort(text, 1);
  const ip = resolveAddress(host, flag);
  return isIP(text) === 0 && /:\d+$/.test(text) ? formatHostPort({ host: ip, port }) : ip;
}
