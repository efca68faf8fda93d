/**
 * What the daemon's flags say of the local networks, as those take it. Pure.
 */
import { InvalidArgumentError } from "../base/errors/errors.js";
import { type Cidr, parseCidr } from "../net-overlay/ipam/cidr.js";
import type { LocalNetworkInit } from "../net-overlay/local/local-networks.js";
import type { EngineSettings } from "../proto/engine/settings.js";

/** @throws {InvalidArgumentError} what is no range of addresses, or a pool that cannot be cut so. */
export function localNetworkInit(settings: EngineSettings["network"]): LocalNetworkInit {
  const { addressPools, bridgeAddress, fixedCidr, mtu, hostAddress, hostGateway } = settings;
  for (const pool of addressPools) checkPool(pool);
  if (bridgeAddress !== "") rangeOf("bip", bridgeAddress);
  if (fixedCidr !== "") rangeOf("fixed-cidr", fixedCidr);
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

/** Parts are no larger than the whole, and have room for a gateway and a container. */
function checkPool({ base, size }: { readonly base: string; readonly size: number }): void {
  const { family, prefix } = rangeOf("default-address-pool", base);
  const sizeMax = family === 4 ? 30 : 126;
  if (size < prefix || size > sizeMax)
    throw new InvalidArgumentError(
      `--default-address-pool: size of base=${base} must be from ${prefix} to ${sizeMax}, got ${size}`,
    );
}

function rangeOf(flag: string, text: string): Cidr {
  try {
    return parseCidr(text);
  } catch (error) {
    throw new InvalidArgumentError(`--${flag}: ${text} is no range of addresses`, { cause: error });
  }
}
