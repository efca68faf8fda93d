/**
 * Networks that hold settings for others: what they may hold, and what one that is made of them gets.
 * Pure. Invariant: settings are copied when a network is made; those that are used cannot be removed.
 * Source: words and statuses as a Docker engine was seen to answer.
 */
import { NotFoundError, PermissionDeniedError } from "../../base/errors/errors.js";
import type { LocalNetworkRecord, LocalNetworkRequest } from "../../proto/engine/networks.js";

/** What was asked for, with the settings it is to be made of. @throws {PermissionDeniedError} {NotFoundError} */
export function withSettings(
  request: LocalNetworkRequest,
  records: readonly LocalNetworkRecord[],
): LocalNetworkRequest {
  const { configFrom = "" } = request;
  if (request.configOnly === true) {
    if (configFrom !== "")
      throw new PermissionDeniedError(
        "a configuration network cannot depend on another configuration network",
      );
    if (request.internal || request.attachable) {
      throw new PermissionDeniedError(
        "configuration network can only contain network specific fields. Network operator fields like " +
          "[ ingress | internal | attachable | scope ] are not supported.",
      );
    }
    return request;
  }
  if (configFrom === "") return request;
  refuseOwnSettings(request);
  const { ipam, ipamDriver, ipamOptions, options, labels, enableIpv4, enableIpv6 } = settingsOf(
    configFrom,
    records,
  );
  return { ...request, ipam, ipamDriver, ipamOptions, options, labels, enableIpv4, enableIpv6 };
}

/** @throws {NotFoundError} */
export function settingsOf(name: string, records: readonly LocalNetworkRecord[]): LocalNetworkRecord {
  const settings = records.find((record) => record.name === name && record.configOnly === true);
  if (settings === undefined)
    throw new NotFoundError(`configuration network ${JSON.stringify(name)} does not exist`);
  return settings;
}

/** @throws {PermissionDeniedError} */
export function refuseOwnSettings(
  request: Pick<
    LocalNetworkRequest,
    "ipam" | "ipamDriver" | "ipamOptions" | "options" | "labels" | "enableIpv6"
  >,
): void {
  const asked = [...Object.keys(request.ipamOptions), ...Object.keys(request.labels)].length > 0;
  const hasPlan = request.ipam.length > 0 || !["", "default"].includes(request.ipamDriver);
  if (asked || hasPlan || request.enableIpv6) {
    throw new PermissionDeniedError(
      "user specified configurations are not supported if the network depends on a configuration network",
    );
  }
  if (Object.keys(request.options).length > 0) {
    throw new PermissionDeniedError(
      "network driver options are not supported if the network depends on a configuration network",
    );
  }
}

/** @throws {PermissionDeniedError} */
export function refuseUsedSettings(
  settings: LocalNetworkRecord,
  records: readonly LocalNetworkRecord[],
): void {
  if (!records.some(({ configFrom }) => configFrom === settings.name)) return;
  throw new PermissionDeniedError(
    `error while removing network: configuration network ${JSON.stringify(settings.name)} is in use`,
  );
}
