/**
 * What the daemon's flags say of the local networks, as those take it. Pure.
 */
import { InvalidArgumentError } from "../base/errors/errors.js";
import { parseCidr } from "../net-overlay/ipam/cidr.js";
import type { LocalNetworkInit } from "../net-overlay/local/local-networks.js";
import type { EngineSettings } from "../proto/engine/settings.js";

/** @throws {InvalidArgumentError} a pool that is no range of addresses. */
export function localNetworkInit(settings: EngineSettings["network"]): LocalNetworkInit {
  const { addressPools, bridgeAddress, fixedCidr, mtu, hostAddress, hostGateway } = settings;
  for (const { base } of addressPools) checkRange(base);
  return {
    ...(addressPools.length === 0 ? {} : { pools: addressPools }),
    ...(bridgeAddress === "" ? {} : { bip: bridgeAddress }),
    ...(fixedCidr === "" ? {} : { fixedCidr }),
    mtuBytes: mtu,
    icc: settings.interContainer,
    masquerade: settings.masquerade,
    ...(hostAddress === "" ? {} : { hostBinding: hostAddress }),
    ...(hostGateway === "" ? {} : { hostGateways: [hostGateway] }),
  };
}

function checkRange(base: string): void {
  try {
    parseCidr(base);
  } catch (error) {
    throw new InvalidArgumentError(`--default-address-pool: ${base} is no range of addresses`, {
      cause: error,
    });
  }
}
