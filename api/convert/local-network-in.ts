/**
 * What a client asks of a local network. Pure. Source: Docker Engine API 1.51, NetworkCreate.
 */
import type { LocalNetworkRequest } from "../../proto/engine/networks.js";
import type { Fields } from "./fields.js";

export function localNetworkIn(fields: Fields): LocalNetworkRequest {
  const ipam = fields.object("IPAM");
  fields.optionalBool("CheckDuplicate");
  return {
    name: fields.string("Name"),
    driver: fields.string("Driver") || "bridge",
    internal: fields.bool("Internal"),
    attachable: fields.bool("Attachable"),
    enableIpv4: fields.optionalBool("EnableIPv4") ?? true,
    enableIpv6: fields.bool("EnableIPv6"),
    ipamDriver: ipam?.string("Driver") || "default",
    ipamOptions: ipam?.stringMap("Options") ?? {},
    ipam: (ipam?.objects("Config") ?? []).map((config) => ({
      subnet: config.string("Subnet"),
      ipRange: config.string("IPRange"),
      gateway: config.string("Gateway"),
      auxiliaryAddresses: { ...config.stringMap("AuxiliaryAddresses"), ...config.stringMap("AuxAddress") },
    })),
    options: fields.stringMap("Options"),
    labels: fields.stringMap("Labels"),
    configOnly: fields.bool("ConfigOnly"),
    configFrom: fields.object("ConfigFrom")?.string("Network") ?? "",
  };
}
