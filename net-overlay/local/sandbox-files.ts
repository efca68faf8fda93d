/**
 * /etc/hosts and /etc/resolv.conf of a container on local networks, as Docker writes them.
 * Pure. Source: hosts(5), resolv.conf(5), and what a Docker engine was seen to write.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { DNS_ADDRESS } from "../discovery/dns-address.js";
import { parseAddress } from "../ipam/cidr.js";

/** Where the host has no resolver that a container can reach. */
const FALLBACK_RESOLVERS_4 = ["8.8.8.8", "8.8.4.4"];
const FALLBACK_RESOLVERS_6 = ["2001:4860:4860::8888", "2001:4860:4860::8844"];

export interface HostsLink {
  readonly address: string;
  readonly names: readonly string[];
}

export function hostsFile(options: {
  readonly hostname: string;
  readonly domainname: string;
  /** Of all endpoints, in their order. */
  readonly addresses: readonly string[];
  /** "host:ip" or "host=ip"; ip may be host-gateway. */
  readonly extraHosts: readonly string[];
  readonly hostGateways: readonly string[];
  readonly links: readonly HostsLink[];
}): string {
  const lines = [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
    ...options.extraHosts.flatMap((entry) => extraHost(entry, options.hostGateways)),
    ...options.links.map(({ address, names }) => `${address}\t${names.join(" ")}`),
  ];
  const own = ownNames(options.hostname, options.domainname);
  if (own !== "") lines.push(...options.addresses.map((address) => `${address}\t${own}`));
  return `${lines.join("\n")}\n`;
}

/** "web" is web; "web.example.org" is also web; a domain name is put behind, as Docker does. */
function ownNames(hostname: string, domainname: string): string {
  if (hostname === "") return "";
  const full = domainname === "" ? hostname : `${hostname}.${domainname}`;
  const short = full.split(".")[0] ?? "";
  return full === short ? full : `${full} ${short}`;
}

function extraHost(entry: string, hostGateways: readonly string[]): string[] {
  const { host, address } = splitExtraHost(entry);
  const addresses = address === "host-gateway" ? hostGateways : [address];
  return addresses.map((ip) => `${ip}\t${host}`);
}

/** @throws {InvalidArgumentError} not HOST:ADDRESS. */
export function splitExtraHost(entry: string): { readonly host: string; readonly address: string } {
  const at = entry.search(/[:=]/);
  const host = entry.slice(0, Math.max(0, at));
  const address = entry.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
  if (at <= 0 || /\s/.test(host))
    throw new InvalidArgumentError(`bad format for add-host: ${JSON.stringify(entry)}`);
  if (address !== "host-gateway") parseAddress(address);
  return { host, address };
}

export interface ResolverRequest {
  /** Of the host. */
  readonly hostResolvConf: string;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** Names are served at 127.0.0.11. */
  readonly embedded: boolean;
  readonly hasIpv6: boolean;
}

export function resolverFile(request: ResolverRequest): string {
  const host = readResolvConf(request.hostResolvConf);
  const search =
    request.dnsSearch.length > 0 ? request.dnsSearch.filter((name) => name !== ".") : host.search;
  const options = request.dnsOptions.length > 0 ? request.dnsOptions : host.options;
  const nameservers = request.embedded ? [DNS_ADDRESS] : reachableResolvers(request, host.nameservers);
  const allOptions =
    request.embedded && !options.some((option) => option.startsWith("ndots:"))
      ? [...options, "ndots:0"]
      : options;
  return [
    ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(allOptions.length > 0 ? [`options ${allOptions.join(" ")}`] : []),
    "",
  ].join("\n");
}

/** Of a container in the host's namespace or in none: the host's file, but for what was asked for. */
export function resolverOutsideNetworks(
  hostResolvConf: string,
  asked: Pick<ResolverRequest, "dns" | "dnsSearch" | "dnsOptions">,
): string {
  const { dns, dnsSearch, dnsOptions } = asked;
  if (dns.length + dnsSearch.length + dnsOptions.length === 0) return hostResolvConf;
  const servers = dns.length > 0 ? dns : readResolvConf(hostResolvConf).nameservers;
  const request = { hostResolvConf, dns: servers, dnsSearch, dnsOptions };
  return resolverFile({ ...request, embedded: false, hasIpv6: true });
}

function reachableResolvers(request: ResolverRequest, ofHost: readonly string[]): readonly string[] {
  if (request.dns.length > 0) return request.dns;
  const usable = ofHost.filter(
    (address) => !isLoopback(address) && (request.hasIpv6 || !address.includes(":")),
  );
  if (usable.length > 0) return usable;
  return [...FALLBACK_RESOLVERS_4, ...(request.hasIpv6 ? FALLBACK_RESOLVERS_6 : [])];
}

export function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

export function readResolvConf(text: string): {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
} {
  const nameservers: string[] = [];
  const options: string[] = [];
  let search: string[] = [];
  for (const line of text.split("\n")) {
    const [word = "", ...rest] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (word === "nameserver" && rest[0] !== undefined) nameservers.push(rest[0]);
    else if (word === "search" || word === "domain") search = rest;
    else if (word === "options") options.push(...rest);
  }
  return { nameservers, search, options };
}
