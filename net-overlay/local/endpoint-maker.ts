/**
 * Endpoints of containers: addresses leased, names gathered, interfaces planned.
 * Pure. Invariants: a lease is held by `<container>/<network>` while the endpoint lives; what is made here is
 * given back by `release`.
 * Source: words and statuses as a Docker engine was seen to answer.
 */
import { InternalError, InvalidArgumentError } from "../../base/errors/errors.js";
import { newHexId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type {
  ContainerNetworking,
  EndpointSettings,
  LocalNetworkRecord,
} from "../../proto/engine/networks.js";
import { cidrContains, parseAddress } from "../ipam/cidr.js";
import { type BridgeNetwork, bridgeNetwork } from "./bridge-network.js";
import { endpointMac } from "./endpoint-mac.js";
import type { EndpointPlan } from "./local-host.js";
import type { LocalEndpoint, LocalSandbox } from "./local-sandbox.js";
import { SubnetLeases } from "./subnet-leases.js";

const IFNAME_OPTION = "com.docker.network.endpoint.ifname";
const SYSCTLS_OPTION = "com.docker.network.endpoint.sysctls";
const SHORT_ID_LENGTH = 12;
const LINK_NAME_BYTES_MAX = 15;

/** Of 169.254.0.0/16 and fe80::/64, whatever the address is, as Docker does. */
const LINK_LOCAL_PREFIX_LENGTH = { v4: 16, v6: 64 } as const;

export interface PlannedEndpoint {
  /** hostIndex is 0 until it is attached. */
  readonly endpoint: LocalEndpoint;
  readonly plan: EndpointPlan;
}

export class EndpointMaker {
  readonly #random: Random;
  readonly #networks = new Map<string, BridgeNetwork>();
  readonly #leases = new Map<string, { readonly 4?: SubnetLeases; readonly 6?: SubnetLeases }>();

  constructor(random: Random) {
    this.#random = random;
  }

  networkOf(record: LocalNetworkRecord): BridgeNetwork {
    let network = this.#networks.get(record.id);
    if (network === undefined) {
      network = bridgeNetwork(record);
      this.#networks.set(record.id, network);
      const { subnet4, subnet6 } = network;
      this.#leases.set(record.id, {
        ...(subnet4 === undefined ? {} : { 4: new SubnetLeases(subnet4) }),
        ...(subnet6 === undefined ? {} : { 6: new SubnetLeases(subnet6) }),
      });
    }
    return network;
  }

  forgetNetwork(networkId: string): void {
    this.#networks.delete(networkId);
    this.#leases.delete(networkId);
  }

  /** @throws an address that this network never gives (Docker's words and status). */
  #admit(record: LocalNetworkRecord, settings: EndpointSettings): void {
    const network = this.networkOf(record);
    const chosen = [settings.ipv4Address, settings.ipv6Address].filter((address) => address !== "");
    if (chosen.length > 0 && network.isDefault)
      throw new InvalidArgumentError("user specified IP address is supported on user defined networks only");
    for (const address of chosen) {
      const parsed = parseAddress(address);
      if (network.automatic.includes(parsed.family)) {
        throw new InvalidArgumentError(
          "user specified IP address is supported only when connecting to networks with user configured subnets",
        );
      }
      const subnet = parsed.family === 4 ? network.subnet4 : network.subnet6;
      if (subnet === undefined || !cidrContains(subnet.cidr, parsed)) {
        throw new InternalError(
          `Invalid address ${address}: It does not belong to any of this network's subnets`,
        );
      }
    }
  }

  plan(
    sandbox: LocalSandbox,
    options: { record: LocalNetworkRecord; settings: EndpointSettings; mac: string; position: number },
  ): PlannedEndpoint {
    const { record, settings } = options;
    this.#admit(record, settings);
    const { linkName, linkIndex } = freeLink(sandbox, settings, options.position);
    const network = this.networkOf(record);
    const owner = `${sandbox.containerId}/${record.id}`;
    const ipv4Address = this.#lease(record, 4, settings.ipv4Address, owner);
    let ipv6Address = "";
    try {
      ipv6Address = this.#lease(record, 6, settings.ipv6Address, owner);
    } catch (error) {
      if (ipv4Address !== "") this.#leases.get(record.id)?.[4]?.release(ipv4Address, owner);
      throw error;
    }
    const endpointId = newHexId(this.#random);
    const chosenMac = settings.macAddress || options.mac;
    const macAddress = chosenMac.toLowerCase() || endpointMac(ipv4Address, endpointId);
    const gatewayOf = (family: 4 | 6, mode: BridgeNetwork["mode4"]): string =>
      network.internal || mode === "isolated"
        ? ""
        : ((family === 4 ? network.subnet4 : network.subnet6)?.gateway ?? "");
    const endpoint: LocalEndpoint = {
      networkName: record.name,
      isInternal: network.internal,
      settings,
      linkName,
      linkIndex,
      hostIndex: 0,
      state: {
        networkId: record.id,
        endpointId,
        gateway: gatewayOf(4, network.mode4),
        ipv4Address,
        ipv4PrefixLength: ipv4Address === "" ? 0 : (network.subnet4?.cidr.prefix ?? 0),
        ipv6Gateway: gatewayOf(6, network.mode6),
        ipv6Address,
        ipv6PrefixLength: ipv6Address === "" ? 0 : (network.subnet6?.cidr.prefix ?? 0),
        macAddress,
        dnsNames: network.isDefault ? [] : dnsNames(sandbox, settings),
      },
    };
    return { endpoint, plan: this.#interfacePlan(network, endpoint, chosenMac !== "") };
  }

  /** Addresses of a sandbox from before a restart. */
  claim(sandbox: LocalSandbox, record: LocalNetworkRecord, endpoint: LocalEndpoint): void {
    this.networkOf(record);
    const owner = `${sandbox.containerId}/${record.id}`;
    const { ipv4Address, ipv6Address } = endpoint.state;
    if (ipv4Address !== "") this.#leases.get(record.id)?.[4]?.reserve(ipv4Address, owner);
    if (ipv6Address !== "") this.#leases.get(record.id)?.[6]?.reserve(ipv6Address, owner);
  }

  release(sandbox: Pick<LocalSandbox, "containerId">, { state }: LocalEndpoint): void {
    const owner = `${sandbox.containerId}/${state.networkId}`;
    const leases = this.#leases.get(state.networkId);
    if (state.ipv4Address !== "") leases?.[4]?.release(state.ipv4Address, owner);
    if (state.ipv6Address !== "") leases?.[6]?.release(state.ipv6Address, owner);
  }

  #lease(record: LocalNetworkRecord, family: 4 | 6, chosen: string, owner: string): string {
    const leases = this.#leases.get(record.id)?.[family];
    if (leases === undefined) return "";
    if (chosen !== "") {
      leases.reserve(chosen, owner);
      return chosen;
    }
    const address = leases.take(owner);
    if (address === undefined) {
      throw new InternalError(
        `no available IPv${family} addresses on this network's address pools: ${record.name} (${record.id})`,
      );
    }
    return address;
  }

  #interfacePlan(network: BridgeNetwork, endpoint: LocalEndpoint, announces: boolean): EndpointPlan {
    const { state, settings, linkName, linkIndex } = endpoint;
    const addresses = [
      { address: state.ipv4Address, prefixLength: state.ipv4PrefixLength },
      { address: state.ipv6Address, prefixLength: state.ipv6PrefixLength },
      ...(settings.linkLocalAddresses ?? []).map((address) => ({
        address,
        prefixLength: address.includes(":") ? LINK_LOCAL_PREFIX_LENGTH.v6 : LINK_LOCAL_PREFIX_LENGTH.v4,
      })),
    ];
    return {
      network,
      hostName: `skv${newHexId(this.#random, 12)}`,
      linkName,
      linkIndex,
      mac: state.macAddress,
      announces,
      addresses: addresses.filter(({ address }) => address !== ""),
      sysctls: interfaceSysctls(settings.driverOptions[SYSCTLS_OPTION] ?? ""),
    };
  }
}

/**
 * Name and index of one more interface in the container.
 * @throws {InvalidArgumentError} a chosen name that cannot be given.
 */
export function freeLink(
  { endpoints }: Pick<LocalSandbox, "endpoints">,
  settings: EndpointSettings,
  position: number,
): Pick<LocalEndpoint, "linkName" | "linkIndex"> {
  const used = new Set(endpoints.map(({ linkName }) => linkName));
  let number = position;
  while (used.has(`eth${number}`)) number += 1;
  const linkName = settings.driverOptions[IFNAME_OPTION] ?? `eth${number}`;
  if (used.has(linkName) || linkName.length > LINK_NAME_BYTES_MAX || /[\s/%]/.test(linkName))
    throw new InvalidArgumentError(`interface name ${JSON.stringify(linkName)} cannot be given`);
  return { linkName, linkIndex: Math.max(1, ...endpoints.map((endpoint) => endpoint.linkIndex)) + 1 };
}

/** All names a container is found by on a network that has names. */
export function dnsNames(
  sandbox: Pick<LocalSandbox, "containerId" | "containerName" | "hostname">,
  settings: EndpointSettings,
): string[] {
  const { containerId, containerName, hostname } = sandbox;
  const names = [containerName, ...settings.aliases, containerId.slice(0, SHORT_ID_LENGTH), hostname];
  return [...new Set(names.filter((name) => name !== ""))];
}

/** "net.ipv4.conf.IFNAME.log_martians=1,…" */
function interfaceSysctls(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const part of text.split(",").filter((word) => word !== "")) {
    const [key = "", value] = part.split("=");
    if (value === undefined || !/^net\.(ipv4|ipv6|mpls)\.[a-z]+\.IFNAME\.[a-z0-9_]+$/.test(key))
      throw new InvalidArgumentError(
        `${SYSCTLS_OPTION} must name sysctls of IFNAME, got ${JSON.stringify(part)}`,
      );
    values[key] = value;
  }
  return values;
}

/** @throws {InvalidArgumentError} what is no port, or no address of the host. */
export function admitPorts({ portBindings }: ContainerNetworking): void {
  for (const { hostPort, hostPortEnd, containerPort, hostAddress } of portBindings) {
    if (hostAddress !== "") parseAddress(hostAddress);
    for (const port of [hostPort, containerPort, hostPortEnd ?? hostPort]) {
      if (!Number.isInteger(port) || port < 0 || port > 65_535)
        throw new InvalidArgumentError(`invalid port ${port}: want 0 to 65535`);
    }
  }
}
