/**
 * Networks of the cluster as Docker shows them. Pure. Source: Docker Engine API 1.52, Network, IPAMStatus.
 */
import type { SubnetUse } from "../../proto/gen/skein/v1/control.js";
import type { Network } from "../../proto/gen/skein/v1/objects.js";
import type { IpamConfig } from "../../proto/gen/skein/v1/types.js";
import { type JsonObject, omitEmpty, timeText } from "./shape.js";

const VXLAN_ID_OPTION = "com.docker.network.driver.overlay.vxlanid_list";

export function networkOut(network: Network): JsonObject {
  const { spec } = network;
  return {
    Name: spec?.annotations?.name ?? "",
    Id: network.id,
    Created: timeText(network.meta?.createdAtMs ?? 0),
    Scope: "swarm",
    Driver: spec?.driver || "overlay",
    EnableIPv4: spec?.ipv4Disabled !== true,
    EnableIPv6: spec?.ipv6Enabled ?? false,
    IPAM: {
      Driver: spec?.ipamDriver || "default",
      Options: Object.keys(spec?.ipamOptions ?? {}).length === 0 ? null : (spec?.ipamOptions ?? null),
      Config: (network.ipam.length > 0 ? network.ipam : (spec?.ipamConfigs ?? [])).map(ipamOut),
    },
    Internal: spec?.internal ?? false,
    Attachable: spec?.attachable ?? false,
    Ingress: spec?.ingress ?? false,
    ConfigFrom: { Network: spec?.configFrom ?? "" },
    ConfigOnly: false,
    Containers: null,
    Options: {
      ...spec?.driverOptions,
      ...(network.vni === 0 ? {} : { [VXLAN_ID_OPTION]: String(network.vni) }),
    },
    Labels: spec?.annotations?.labels ?? {},
  };
}

export function ipamOut(config: IpamConfig): JsonObject {
  return omitEmpty({
    Subnet: config.subnet,
    IPRange: config.range,
    Gateway: config.gateway,
    AuxiliaryAddresses: config.reserved,
  });
}

/** Addresses in use, since API 1.52; older clients pass it over. */
export function networkStatusOut(subnets: readonly SubnetUse[]): JsonObject {
  if (subnets.length === 0) return {};
  const rows = subnets.map(({ subnet, inUse, available }) => [
    subnet,
    { IPsInUse: inUse, DynamicIPsAvailable: available },
  ]);
  return { Status: { IPAM: { Subnets: Object.fromEntries(rows) as JsonObject } } };
}
