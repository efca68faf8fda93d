/**
 * What a client asks of a network of the cluster. Pure. Source: Docker Engine API 1.51, NetworkCreate.
 */
import { NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "./fields.js";

export function clusterNetworkIn(fields: Fields): NetworkSpec {
  fields.string("Driver");
  const ipam = fields.object("IPAM");
  const options = fields.stringMap("Options");
  fields.optionalBool("CheckDuplicate");
  fields.optionalBool("EnableIPv4");
  return NetworkSpec.fromPartial({
    annotations: { name: fields.string("Name"), labels: fields.stringMap("Labels") },
    driver: "overlay",
    driverOptions: options,
    internal: fields.bool("Internal"),
    attachable: fields.bool("Attachable"),
    ingress: fields.bool("Ingress"),
    ipv6Enabled: fields.bool("EnableIPv6"),
    ipamDriver: ipam?.string("Driver") ?? "",
    ipamOptions: ipam?.stringMap("Options") ?? {},
    ipamConfigs: (ipam?.objects("Config") ?? []).map((config) => ({
      subnet: config.string("Subnet"),
      range: config.string("IPRange"),
      gateway: config.string("Gateway"),
      reserved: config.stringMap("AuxiliaryAddresses"),
    })),
    scope: fields.string("Scope"),
    encrypted: "encrypted" in options,
  });
}
