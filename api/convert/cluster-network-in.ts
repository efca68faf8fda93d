/**
 * What a client asks of a network of the cluster. Pure. Source: Docker Engine API 1.51, NetworkCreate.
 */
import { InvalidArgumentError, PermissionDeniedError } from "../../base/errors/errors.js";
import type { LocalNetworkRequest } from "../../proto/engine/networks.js";
import { type IpamConfig, NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "./fields.js";

/**
 * @param settingsOf finds the network of this node whose settings are asked for.
 * @throws {PermissionDeniedError} settings of its own beside; whatever `settingsOf` throws.
 */
export function clusterNetworkIn(
  fields: Fields,
  settingsOf: (name: string) => LocalNetworkRequest,
): NetworkSpec {
  fields.string("Driver");
  const configFrom = fields.object("ConfigFrom")?.string("Network") ?? "";
  const ipam = fields.object("IPAM");
  const options = fields.stringMap("Options");
  fields.optionalBool("CheckDuplicate");
  const spec = NetworkSpec.fromPartial({
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
  return configFrom === "" ? spec : withSettings(spec, settingsOf(configFrom));
}

/** Copied now: the network does not follow what becomes of the settings. */
function withSettings(spec: NetworkSpec, settings: LocalNetworkRequest): NetworkSpec {
  refuseOwnSettings(spec);
  return {
    ...spec,
    configFrom: settings.name,
    annotations: { name: spec.annotations?.name ?? "", labels: settings.labels },
    driverOptions: settings.options,
    encrypted: encryptedIn(settings.options),
    ipv4Disabled: !settings.enableIpv4,
    ipv6Enabled: settings.enableIpv6,
    ipamDriver: settings.ipamDriver,
    ipamOptions: settings.ipamOptions,
    ipamConfigs: settings.ipam.map(({ subnet, ipRange, gateway, auxiliaryAddresses }) => ({
      ...{ subnet, gateway, range: ipRange, reserved: auxiliaryAddresses },
    })),
  };
}

function refuseOwnSettings(spec: NetworkSpec): void {
  const { ipamOptions, annotations, ipamConfigs, ipamDriver } = spec;
  const asked = [...Object.keys(ipamOptions), ...Object.keys(annotations?.labels ?? {})].length > 0;
  if (asked || ipamConfigs.length > 0 || !["", "default"].includes(ipamDriver) || spec.ipv6Enabled) {
    throw new PermissionDeniedError(
      "user specified configurations are not supported if the network depends on a configuration network",
    );
  }
  if (Object.keys(spec.driverOptions).length > 0) {
    throw new PermissionDeniedError(
      "network driver options are not supported if the network depends on a configuration network",
    );
  }
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
