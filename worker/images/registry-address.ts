/**
 * How a registry may be spoken to: with TLS, or without when its address is near enough and somebody allowed
 * it.
 * Pure. Invariant: a public address is never spoken to in plain text, whatever the configuration says.
 * Source: RFC 1918, RFC 4193, RFC 6598 (private ranges); Docker's rule that loopback needs no configuration.
 */
import ipaddr from "ipaddr.js";
import { InvalidArgumentError } from "../../base/errors/errors.js";

export interface RegistryAddress {
  /** Without brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

const DOCKER_HUB = "docker.io";
const DOCKER_HUB_REGISTRY = "registry-1.docker.io";

/** @param domain of a parsed reference. */
export function registryAddressOf(domain: string): RegistryAddress {
  if (domain === DOCKER_HUB) return { host: DOCKER_HUB_REGISTRY, port: undefined };
  const match = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(domain);
  const port = match?.[2] === undefined ? undefined : Number(match[2]);
  if (match === null || (port !== undefined && (port < 1 || port > 65_535))) {
    throw new InvalidArgumentError(
      `registry must be host or host:port with a port from 1 to 65535, got ${JSON.stringify(domain)}`,
    );
  }
  return { host: (match[1] ?? "").replace(/^\[|\]$/g, ""), port };
}

export function isDockerHub(domain: string): boolean {
  return domain === DOCKER_HUB;
}

/** @param mirror a URL without path, as daemon.json has it. @throws {InvalidArgumentError} */
export function mirrorOriginOf(
  mirror: string,
): RegistryAddress & { readonly certsName: string; readonly scheme: "http" | "https" } {
  const url = URL.canParse(mirror) ? new URL(mirror) : undefined;
  const scheme = url?.protocol === "http:" ? "http" : url?.protocol === "https:" ? "https" : undefined;
  if (url === undefined || scheme === undefined)
    throw new InvalidArgumentError(
      `invalid mirror: ${JSON.stringify(mirror)} must be a URL with http:// or https://`,
    );
  if (url.username !== "" || (url.pathname !== "/" && url.pathname !== "") || url.search !== "")
    throw new InvalidArgumentError("invalid mirror: path, query, or credentials are not expected in it");
  const port = url.port === "" ? undefined : Number(url.port);
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port, certsName: url.host, scheme };
}

export type AddressRange = "loopback" | "private" | "public";

/** @param address an IP address in text. */
export function rangeOf(address: string): AddressRange {
  const range = ipaddr.process(address).range();
  if (range === "loopback") return "loopback";
  return range === "private" ||
    range === "linkLocal" ||
    range === "uniqueLocal" ||
    range === "carrierGradeNat"
    ? "private"
    : "public";
}

/** Whether plain text may be tried; the addresses behind a host name are checked when it is connected to. */
export function mayBeInsecure(address: RegistryAddress, insecureRegistries: readonly string[]): boolean {
  const { host, port } = address;
  const literal = ipaddr.isValid(host) ? ipaddr.process(host) : undefined;
  if (host === "localhost" || (literal !== undefined && rangeOf(host) === "loopback")) return true;
  const listed = insecureRegistries.some((entry) => {
    if (entry === host || entry === `[${host}]`) return true;
    if (port !== undefined && (entry === `${host}:${port}` || entry === `[${host}]:${port}`)) return true;
    return literal !== undefined && entry.includes("/") && inCidr(literal, entry);
  });
  return listed && (literal === undefined || rangeOf(host) !== "public");
}

function inCidr(address: ReturnType<typeof ipaddr.process>, entry: string): boolean {
  if (!ipaddr.isValidCIDR(entry))
    throw new InvalidArgumentError(
      `insecure registry must be a host, host:port or CIDR range, got ${JSON.stringify(entry)}`,
    );
  const [network, bits] = ipaddr.parseCIDR(entry);
  return network.kind() === address.kind() && address.match(network, bits);
}
