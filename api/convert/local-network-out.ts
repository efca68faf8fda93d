/**
 * Local networks as Docker shows them. Pure. Source: Docker Engine API 1.51, Network.
 */
import type { IpamConfiguration, LocalNetworkRecord, NetworkMember } from "../../proto/engine/networks.js";
import { type JsonObject, omitEmpty, timeText } from "./shape.js";

const PREDEFINED = ["bridge", "host", "none"];

export function isPredefinedNetwork(name: string): boolean {
  return PREDEFINED.includes(name);
}

export function localNetworkOut(
  record: LocalNetworkRecord,
  members: readonly NetworkMember[] = [],
): JsonObject {
  return {
    Name: record.name,
    Id: record.id,
    Created: timeText(record.createdMs),
    Scope: "local",
    Driver: record.driver,
    EnableIPv4: record.enableIpv4,
    EnableIPv6: record.enableIpv6,
    IPAM: {
      Driver: record.ipamDriver,
      Options: isPredefinedNetwork(record.name) ? null : record.ipamOptions,
      Config: record.ipam.map(ipamOut),
    },
    Internal: record.internal,
    Attachable: record.attachable,
    Ingress: false,
    ConfigFrom: { Network: record.configFrom ?? "" },
    ConfigOnly: record.configOnly ?? false,
    Containers: Object.fromEntries(members.map((member) => [member.containerId, memberOut(member)])),
    Options: record.options,
    Labels: record.labels,
  };
}

function ipamOut({ subnet, ipRange, gateway, auxiliaryAddresses }: IpamConfiguration): JsonObject {
  return {
    Subnet: subnet,
    ...omitEmpty({ IPRange: ipRange, Gateway: gateway, AuxiliaryAddresses: auxiliaryAddresses }),
  };
}

export function memberOut({ name, endpoint }: NetworkMember): JsonObject {
  const withPrefix = (address: string, length: number): string =>
    address === "" ? "" : `${address}/${length}`;
  return {
    Name: name,
    EndpointID: endpoint.endpointId,
    MacAddress: endpoint.macAddress,
    IPv4Address: withPrefix(endpoint.ipv4Address, endpoint.ipv4PrefixLength),
    IPv6Address: withPrefix(endpoint.ipv6Address, endpoint.ipv6PrefixLength),
  };
}
