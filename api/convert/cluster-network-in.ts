/**
 * What a client asks of a network of the cluster. Pure. Source: Docker Engine API 1.51, NetworkCreate.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { type IpamConfig, NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "./fields.js";

export function clusterNetworkIn(fields: Fields): NetworkSpec {
  fields.string("Driver");
  const ipam = fields.object("IPAM");
  const options = fields.stringMap("Options");
  fields.optionalBool("CheckDuplicate");
  return NetworkSpec.fromPartial({
    annotations: { name: fields.string("Name"), labels: fields.stringMap("Labels") },
    driver: "overlay",
    driverOptions: options,
    internal: fields.bool("Internal"),
    attachable: fields.bool("Attachable"),
    ingress: fields.bool("Ingress"),
    ipv4Disabled: fields.optionalBool("EnableIPv4") === false,
    ipv6Enabled: fields.bool("EnableIPv6"),
    ipamDriver: ipam?.string("Driver") ?? "",
    ipamOptions: ipam?.stringMap("Options") ?? {},
    ipamConfigs: subnetsIn(ipam, "Config"),
    scope: fields.string("Scope"),
    encrypted: encryptedIn(options),
  });
}

export function subnetsIn(fields: Fields | undefined, key: string): IpamConfig[] {
  return (fields?.objects(key) ?? []).map((config) => ({
    subnet: config.string("Subnet"),
    range: config.string("IPRange"),
    gateway: config.string("Gateway"),
    reserved: { ...config.stringMap("AuxiliaryAddresses"), ...config.stringMap("AuxAddress") },
  }));
}

/** The option alone is a yes. @throws {InvalidArgumentError} neither a yes nor a no. */
function encryptedIn(options: Readonly<Record<string, string>>): boolean {
  const text = options["encrypted"];
  if (text === undefined) return false;
  if (["", "1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new InvalidArgumentError(
    `network driver option encrypted must be true or false, got ${JSON.stringify(text)}`,
  );
}
