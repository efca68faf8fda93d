/**
 * What an overlay network may ask for: known driver and options, subnets that parse, fit and do not meet.
 * Pure.
 */
import {
  FailedPreconditionError,
  InvalidArgumentError,
  NotImplementedError,
} from "../../base/errors/errors.js";
import {
  type Cidr,
  cidrContains,
  cidrsOverlap,
  formatCidr,
  parseAddress,
  parseCidr,
} from "../../net-overlay/ipam/cidr.js";
import { TRANSIT_RANGE } from "../../net-overlay/vxlan/transit.js";
import type { Network } from "../../proto/gen/skein/v1/objects.js";
import type { IpamConfig, NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import { checkNetworkName } from "./annotations.js";

const MTU_OPTION = "com.docker.network.driver.mtu";

/**
 * @throws {InvalidArgumentError} {NotImplementedError} {FailedPreconditionError} naming the field and the
 * rule.
 */
export function checkNetworkSpec(spec: NetworkSpec, existing: readonly Network[]): void {
  checkNetworkName(spec.annotations);
  if (spec.driver !== "" && spec.driver !== "overlay") {
    throw new InvalidArgumentError(
      `network driver "${spec.driver}" is not available in the swarm: only overlay is`,
    );
  }
  if (spec.ingress) {
    throw new FailedPreconditionError("the ingress network exists already: the routing mesh needs no other");
  }
  if (spec.ipv6Enabled) throw new NotImplementedError("IPv6 in overlay networks is not supported yet");
  if (spec.encrypted || Object.hasOwn(spec.driverOptions, "encrypted")) {
    throw new NotImplementedError(
      "encrypted overlay networks are not supported yet: the network would be in the clear",
    );
  }
  if (spec.ipamDriver !== "" && spec.ipamDriver !== "default") {
    throw new InvalidArgumentError(`IPAM driver "${spec.ipamDriver}" is not available: only default is`);
  }
  for (const [key, value] of Object.entries(spec.driverOptions)) checkDriverOption(key, value);
  checkSubnets(spec.ipamConfigs, existing);
}

function checkDriverOption(key: string, value: string): void {
  if (key !== MTU_OPTION)
    throw new InvalidArgumentError(`network driver option "${key}" is not supported by overlay`);
  const mtuBytes = Number(value);
  if (!Number.isInteger(mtuBytes) || mtuBytes < 68 || mtuBytes > 65_535) {
    throw new InvalidArgumentError(
      `network driver option ${MTU_OPTION} must be an integer from 68 to 65535, got "${value}"`,
    );
  }
}

function checkSubnets(configs: readonly IpamConfig[], existing: readonly Network[]): void {
  const taken: { readonly name: string; readonly cidr: Cidr }[] = existing.flatMap((network) =>
    subnetsOf(network).map((cidr) => ({
      name: `network ${network.spec?.annotations?.name ?? network.id}`,
      cidr,
    })),
  );
  taken.push({ name: "the routing mesh", cidr: parseCidr(TRANSIT_RANGE) });
  for (const config of configs) {
    const subnet = checkIpamConfig(config);
    if (subnet === undefined) continue;
    const other = taken.find(({ cidr }) => cidrsOverlap(cidr, subnet));
    if (other !== undefined) {
      throw new InvalidArgumentError(
        `invalid pool request: Pool overlaps with other one on this address space: ${formatCidr(subnet)} ` +
          `and ${formatCidr(other.cidr)} of ${other.name}`,
      );
    }
    taken.push({ name: "this network", cidr: subnet });
  }
}

function subnetsOf(network: Network): readonly Cidr[] {
  const configs = network.ipam.length > 0 ? network.ipam : (network.spec?.ipamConfigs ?? []);
  return configs.filter(({ subnet }) => subnet !== "").map(({ subnet }) => parseCidr(subnet));
}

function checkIpamConfig(config: IpamConfig): Cidr | undefined {
  const { subnet, range, gateway, reserved } = config;
  if (subnet === "") {
    if (range !== "" || gateway !== "" || Object.keys(reserved).length > 0) {
      throw new InvalidArgumentError(
        "an IP range, a gateway and auxiliary addresses need a subnet they belong to",
      );
    }
    return undefined;
  }
  const cidr = parseCidr(subnet);
  if (cidr.family !== 4)
    throw new NotImplementedError(`subnet ${subnet}: IPv6 in overlay networks is not supported yet`);
  if (parseAddress(subnet.slice(0, subnet.indexOf("/"))).value !== cidr.base) {
    throw new InvalidArgumentError(`invalid subnet ${subnet}: it should be ${formatCidr(cidr)}`);
  }
  if (cidr.prefix < 8 || cidr.prefix > 29) {
    throw new InvalidArgumentError(`invalid subnet ${subnet}: the prefix length must be from 8 to 29`);
  }
  if (range !== "") {
    const inner = parseCidr(range);
    if (inner.prefix < cidr.prefix || !cidrsOverlap(cidr, inner)) {
      throw new InvalidArgumentError(`invalid IP range ${range}: it must lie inside the subnet ${subnet}`);
    }
  }
  const inside = [...(gateway === "" ? [] : [["gateway", gateway] as const]), ...Object.entries(reserved)];
  for (const [name, address] of inside) {
    if (!cidrContains(cidr, parseAddress(address))) {
      throw new InvalidArgumentError(
        `invalid address ${address} (${name}): it must lie inside the subnet ${subnet}`,
      );
    }
  }
  return cidr;
}
