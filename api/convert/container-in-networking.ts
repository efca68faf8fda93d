/**
 * How a container is reached and what it reaches: network mode, endpoints, ports, names. Pure.
 * Refused is what dockerd refuses, in its words.
 * Source: Docker Engine API 1.51, HostConfig, EndpointSettings.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerSpecification } from "../../proto/engine/containers.js";
import type { ContainerNetworking, EndpointSettings } from "../../proto/engine/networks.js";
import { exposedPortsIn, portBindingsIn } from "./container-in-ports.js";
import type { Fields } from "./fields.js";
import { isIp, isIpv4, isIpv6 } from "./ip-text.js";

export interface NetworkingWorld {
  readonly containerId: (idOrName: string) => string | undefined;
  readonly apiMinor: number;
}

export interface NetworkingIn {
  readonly network: ContainerSpecification["network"];
  readonly networking: ContainerNetworking;
}

/** What of Config has to do with networks. */
export interface ConfigForNetworking {
  readonly hostname: string;
  readonly domainname: string;
  readonly exposedPorts: readonly string[];
  readonly macAddress: string;
  readonly networkDisabled: boolean;
}

export function networkingIn(
  parts: { host: Fields; endpoints: Fields | undefined; config: ConfigForNetworking },
  world: NetworkingWorld,
  warnings: string[],
): NetworkingIn {
  const { host, config } = parts;
  const mode = modeIn(host.string("NetworkMode"), world);
  const networking: ContainerNetworking = {
    mode,
    endpoints: {},
    exposedPorts: exposedPortsIn(config.exposedPorts),
    portBindings: portBindingsIn(host.raw("PortBindings")),
    publishAllPorts: host.bool("PublishAllPorts"),
    links: linksIn(host.strings("Links"), world),
    dns: host.strings("Dns"),
    dnsSearch: host.strings("DnsSearch"),
    dnsOptions: host.strings("DnsOptions"),
    extraHosts: host.strings("ExtraHosts"),
    macAddress: config.macAddress,
  };
  checkNames(networking);
  checkMode(networking, config, host.string("UTSMode"));
  if (mode === "host" && networking.portBindings.length > 0)
    warnings.push("Published ports are discarded when using host network mode");
  const endpoints = endpointsIn(parts.endpoints, mode, world);
  return {
    network: kindOf(mode, config.networkDisabled),
    networking: { ...networking, ...macIn({ networking, endpoints, mode }, world, warnings) },
  };
}

function modeIn(text: string, { containerId }: NetworkingWorld): string {
  if (text === "") return "default";
  if (!/^container(:|$)/.test(text)) return text;
  const name = text.slice("container:".length);
  if (name === "")
    throw new InvalidArgumentError("invalid network mode: invalid container format container:<name|id>");
  return `container:${containerId(name) ?? name}`;
}

function kindOf(mode: string, disabled: boolean): ContainerSpecification["network"] {
  if (mode.startsWith("container:")) return { kind: "container", id: mode.slice("container:".length) };
  if (mode === "host") return { kind: "host" };
  if (mode === "none" || disabled) return { kind: "none" };
  return { kind: "networks" };
}

function linksIn(links: readonly string[], { containerId }: NetworkingWorld): string[] {
  return links.map((link) => {
    const [name = "", alias = name, ...more] = link.split(":");
    if (name === "" || more.length > 0) throw new InvalidArgumentError(`bad format for links: ${link}`);
    if (containerId(name) === undefined)
      throw new InvalidArgumentError(`could not get container for ${name}: No such container: ${name}`);
    return `${name}:${alias}`;
  });
}

function checkNames({ extraHosts, dns, macAddress }: ContainerNetworking): void {
  for (const entry of extraHosts) {
    const at = entry.indexOf(":");
    if (at < 1) throw new InvalidArgumentError(`bad format for add-host: ${JSON.stringify(entry)}`);
    const address = entry.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
    if (address !== "host-gateway" && !isIp(address))
      throw new InvalidArgumentError(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  }
  const server = dns.find((address) => !isIp(address.replace(/%.*$/, "")));
  if (server !== undefined) throw new InvalidArgumentError(`bad nameserver address: ${server}`);
  checkMac(macAddress);
}

function checkMac(address: string): void {
  if (address !== "" && !/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(address))
    throw new InvalidArgumentError(`invalid MAC address: address ${address}: invalid MAC address`);
}

function checkMode(networking: ContainerNetworking, config: ConfigForNetworking, utsMode: string): void {
  const { mode, links, dns, extraHosts, macAddress, portBindings, publishAllPorts, exposedPorts } =
    networking;
  const conflict = (when: boolean, words: string): void => {
    if (when) throw new InvalidArgumentError(`conflicting options: ${words}`);
  };
  const shared = mode.startsWith("container:");
  conflict(utsMode === "host" && config.hostname !== "", "hostname and the UTS mode");
  conflict(utsMode === "host" && config.domainname !== "", "domainname and the UTS mode");
  conflict(shared && config.hostname !== "", "hostname and the network mode");
  const undefinedBehaviour = "can't be used with links. This would result in undefined behavior";
  conflict(mode === "host" && links.length > 0, `host type networking ${undefinedBehaviour}`);
  conflict(shared && links.length > 0, `container type network ${undefinedBehaviour}`);
  conflict(shared && dns.length > 0, "dns and the network mode");
  conflict(shared && extraHosts.length > 0, "custom host-to-IP mapping and the network mode");
  conflict((shared || mode === "host") && macAddress !== "", "mac-address and the network mode");
  const publishes = portBindings.length > 0 || publishAllPorts;
  conflict(shared && publishes, "port publishing and the container type network mode");
  conflict(shared && exposedPorts.length > 0, "port exposing and the container type network mode");
}

/** The default network has two names. */
const plainName = (name: string): string => (name === "default" ? "bridge" : name);

function endpointsIn(
  config: Fields | undefined,
  mode: string,
  { apiMinor }: NetworkingWorld,
): Record<string, EndpointSettings> {
  const all = config?.object("EndpointsConfig");
  const names = all?.keys() ?? [];
  if (apiMinor < 44 && names.length > 1)
    throw new InvalidArgumentError(`Container cannot be connected to network endpoints: ${names.join(", ")}`);
  const endpoints: Record<string, EndpointSettings> = {};
  for (const name of names) endpoints[plainName(name)] = endpointIn(all?.object(name));
  const own = plainName(mode);
  const { ipv4Address = "", ipv6Address = "" } = endpoints[own] ?? {};
  if ((own === "none" || own === "host") && `${ipv4Address}${ipv6Address}` !== "")
    throw new InvalidArgumentError("user specified IP address is supported on user defined networks only");
  const isNetwork = !own.startsWith("container:") && own !== "host" && own !== "none";
  if (isNetwork && !(own in endpoints)) endpoints[own] = endpointIn(undefined);
  return endpoints;
}

/** Also of a later connect. */
export function endpointIn(fields: Fields | undefined): EndpointSettings {
  const ipam = fields?.object("IPAMConfig");
  const [ipv4Address, ipv6Address] = [ipam?.string("IPv4Address") ?? "", ipam?.string("IPv6Address") ?? ""];
  if (ipv4Address !== "" && !isIpv4(ipv4Address))
    throw new InvalidArgumentError(`invalid IPv4 address: ${ipv4Address}`);
  if (ipv6Address !== "" && !isIpv6(ipv6Address))
    throw new InvalidArgumentError(`invalid IPv6 address: ${ipv6Address}`);
  const linkLocalAddresses = ipam?.strings("LinkLocalIPs") ?? [];
  const bad = linkLocalAddresses.find((address) => !isIp(address));
  if (bad !== undefined) throw new InvalidArgumentError(`invalid link-local IP address: ${bad}`);
  const macAddress = fields?.string("MacAddress") ?? "";
  checkMac(macAddress);
  for (const key of OUTPUT_KEYS) fields?.raw(key); // what an inspect gave, sent back: it decides nothing
  const gatewayPriority = fields?.integer("GwPriority", { min: Number.MIN_SAFE_INTEGER }) ?? 0;
  return {
    aliases: fields?.strings("Aliases") ?? [],
    links: fields?.strings("Links") ?? [],
    ipv4Address,
    ipv6Address,
    macAddress,
    driverOptions: fields?.stringMap("DriverOpts") ?? {},
    ...(linkLocalAddresses.length > 0 ? { linkLocalAddresses } : {}),
    ...(gatewayPriority !== 0 ? { gatewayPriority } : {}),
  };
}

const OUTPUT_KEYS = [
  "NetworkID",
  "EndpointID",
  "Gateway",
  "IPAddress",
  "IPPrefixLen",
  "IPv6Gateway",
  "GlobalIPv6Address",
  "GlobalIPv6PrefixLen",
  "DNSNames",
];

/** Since 1.44 an address belongs to an endpoint; one of the container is that of its first network. */
function macIn(
  parts: { networking: ContainerNetworking; endpoints: Record<string, EndpointSettings>; mode: string },
  { apiMinor }: NetworkingWorld,
  warnings: string[],
): Pick<ContainerNetworking, "endpoints" | "macAddress"> {
  const { endpoints } = parts;
  const { macAddress } = parts.networking;
  const own = plainName(parts.mode);
  const endpoint = endpoints[own];
  if (macAddress === "" || endpoint === undefined)
    return { endpoints, macAddress: macAddress || (endpoint?.macAddress ?? "") };
  if (endpoint.macAddress !== "" && endpoint.macAddress.toLowerCase() !== macAddress.toLowerCase())
    throw new InvalidArgumentError(
      "the container-wide MAC address must match the endpoint-specific MAC address for the main network, " +
        "or be left empty",
    );
  if (apiMinor >= 44)
    warnings.push(
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
    );
  return { macAddress, endpoints: { ...endpoints, [own]: { ...endpoint, macAddress } } };
}
