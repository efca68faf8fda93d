/**
 * What an overlay network may ask for: known driver and options, subnets that parse, fit and do not meet.
 * Pure. Source: Docker's and SwarmKit's rules and words, where they have some.
 */
import { FailedPreconditionError, InvalidArgumentError } from "../../base/errors/errors.js";
import {
  type Cidr,
  cidrContains,
  cidrsOverlap,
  formatCidr,
  type IpFamily,
  parseAddress,
  parseCidr,
} from "../../net-overlay/ipam/cidr.js";
import { TRANSIT_RANGE, TRANSIT_VNI } from "../../net-overlay/vxlan/transit.js";
import { OVERLAY_VNI_MAX } from "../../net-overlay/vxlan/vni.js";
import type { Network, Node } from "../../proto/gen/skein/v1/objects.js";
import type { IpamConfig, NetworkSpec } from "../../proto/gen/skein/v1/types.js";
import { chosenVni, VXLAN_ID_OPTION } from "../allocator/allocate.js";
import { checkNetworkName } from "./annotations.js";
import { isLeaving } from "./find-object.js";

const MTU_OPTION = "com.docker.network.driver.mtu";
const ENCRYPTED_OPTION = "encrypted";
/** What IPv6 asks of every link. Source: RFC 8200, section 5. */
const IPV6_MTU_BYTES_MIN = 1_280;
/** The node addresses that an IPv6 subnet of ours may not meet. */
const IPV6_TRANSIT_RANGE = "fd53:6b65:696e::/48";

/** Prefix lengths: the shortest keeps a typing error from taking everything, the longest has room for tasks. */
const PREFIXES: Record<IpFamily, { readonly min: number; readonly max: number }> = {
  4: { min: 8, max: 29 },
  6: { min: 16, max: 125 },
};

/** Of one network, those of a live one counted: every address looks for its subnet among them. */
const SUBNETS_MAX = 256;

interface Surroundings {
  readonly networks: readonly Network[];
  readonly nodes: () => readonly Node[];
}

/** @throws {InvalidArgumentError} {FailedPreconditionError} naming the field and the rule. */
export function checkNetworkSpec(spec: NetworkSpec, { networks, nodes }: Surroundings): void {
  checkNetworkName(spec.annotations);
  if (spec.driver !== "" && spec.driver !== "overlay") {
    throw new InvalidArgumentError(
      `network driver "${spec.driver}" is not available in the swarm: only overlay is`,
    );
  }
  if (spec.ingress && spec.attachable) {
    throw new InvalidArgumentError("ingress network cannot be attachable");
  }
  if (spec.ingress && spec.internal) {
    throw new InvalidArgumentError("ingress network cannot be internal: clients reach it from outside");
  }
  if (spec.ipv4Disabled && !spec.ipv6Enabled) throw new InvalidArgumentError("IPv4 or IPv6 must be enabled");
  if (spec.ipamDriver !== "" && spec.ipamDriver !== "default") {
    throw new InvalidArgumentError(`IPAM driver "${spec.ipamDriver}" is not available: only default is`);
  }
  for (const [key, value] of Object.entries(spec.driverOptions)) checkDriverOption(key, value, spec);
  const vni = chosenVni({ spec });
  const holder = networks.find((network) => vni !== undefined && network.vni === vni && !isLeaving(network));
  if (holder !== undefined) {
    throw new FailedPreconditionError(
      `VXLAN network identifier ${vni} is in use by network ${nameOf(holder)}`,
    );
  }
  if (spec.encrypted) refuseUnencryptable(nodes());
  checkSubnets(spec.ipamConfigs, { spec, networks, own: [] });
}

/** @throws {InvalidArgumentError} {FailedPreconditionError} */
export function checkAddedSubnets(
  added: readonly IpamConfig[],
  { network, networks }: { readonly network: Network; readonly networks: readonly Network[] },
): void {
  const { spec } = network;
  if (spec === undefined || added.length === 0) return;
  if (added.some(({ subnet }) => subnet === ""))
    throw new InvalidArgumentError("a subnet that is added must be given as ADDRESS/LENGTH");
  if (spec.ingress) {
    throw new FailedPreconditionError("nothing has an address of the ingress network: it needs no subnet");
  }
  const others = networks.filter(({ id }) => id !== network.id);
  checkSubnets(added, { spec, networks: others, own: subnetsOf(network) });
}

function checkDriverOption(key: string, value: string, spec: NetworkSpec): void {
  switch (key) {
    case MTU_OPTION: {
      const mtuBytes = Number(value);
      const min = spec.ipv6Enabled ? IPV6_MTU_BYTES_MIN : 68;
      if (Number.isInteger(mtuBytes) && value !== "" && mtuBytes >= min && mtuBytes <= 65_535) return;
      throw new InvalidArgumentError(
        `network driver option ${MTU_OPTION} must be an integer from ${min} to 65535` +
          `${spec.ipv6Enabled ? " with IPv6" : ""}, got "${value}"`,
      );
    }
    case VXLAN_ID_OPTION:
      checkVni(value);
      return;
    case ENCRYPTED_OPTION: // what it says is in `spec.encrypted`
      return;
    default:
      throw new InvalidArgumentError(`network driver option "${key}" is not supported by overlay`);
  }
}

function checkVni(value: string): void {
  const ids = value.split(",");
  if (ids.length > 1) {
    throw new InvalidArgumentError(
      `network driver option ${VXLAN_ID_OPTION} must name one identifier: ` +
        `all subnets of a network share it, got "${value}"`,
    );
  }
  const vni = Number(value);
  const isOne = /^\d{1,8}$/.test(value) && vni >= 1 && vni <= OVERLAY_VNI_MAX && vni !== TRANSIT_VNI;
  if (isOne) return;
  throw new InvalidArgumentError(
    `invalid vxlan id value ${JSON.stringify(value)} passed: it must be from 1 to ${OVERLAY_VNI_MAX}, ` +
      `and not ${TRANSIT_VNI}, the routing mesh's`,
  );
}

/** Nodes that cannot are left out of such a network; there must be one that can. */
function refuseUnencryptable(nodes: readonly Node[]): void {
  if (nodes.some(({ description }) => (description?.wireguardPublicKey ?? "") !== "")) return;
  throw new FailedPreconditionError(
    "no node of the swarm can encrypt: the kernel of none has WireGuard, and the network would be in the clear",
  );
}

function checkSubnets(
  configs: readonly IpamConfig[],
  around: {
    readonly spec: NetworkSpec;
    readonly networks: readonly Network[];
    readonly own: readonly Cidr[];
  },
): void {
  const { spec } = around;
  const count = configs.length + around.own.length;
  if (count > SUBNETS_MAX)
    throw new InvalidArgumentError(`a network may have at most ${SUBNETS_MAX} subnets, got ${count}`);
  const taken: { readonly name: string; readonly cidr: Cidr }[] = around.networks
    .filter((network) => !isLeaving(network))
    .flatMap((network) => subnetsOf(network).map((cidr) => ({ name: `network ${nameOf(network)}`, cidr })));
  for (const range of [TRANSIT_RANGE, IPV6_TRANSIT_RANGE])
    taken.push({ name: "the routing mesh", cidr: parseCidr(range) });
  for (const cidr of around.own) taken.push({ name: "this network", cidr });
  for (const config of configs) {
    const subnet = checkIpamConfig(config);
    if (subnet === undefined) continue;
    if (subnet.family === 6 && !spec.ipv6Enabled) {
      throw new InvalidArgumentError(
        `invalid subnet ${config.subnet}: IPv6 is not enabled for this network (--ipv6)`,
      );
    }
    if (subnet.family === 4 && spec.ipv4Disabled)
      throw new InvalidArgumentError(`invalid subnet ${config.subnet}: IPv4 is disabled for this network`);
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

function nameOf(network: Network): string {
  return network.spec?.annotations?.name ?? network.id;
}

function subnetsOf(network: Network): readonly Cidr[] {
  const texts = new Set([...network.ipam, ...(network.spec?.ipamConfigs ?? [])].map(({ subnet }) => subnet));
  return [...texts].filter((subnet) => subnet !== "").map(parseCidr);
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
  if (parseAddress(subnet.slice(0, subnet.indexOf("/"))).value !== cidr.base) {
    throw new InvalidArgumentError(`invalid subnet ${subnet}: it should be ${formatCidr(cidr)}`);
  }
  const { min, max } = PREFIXES[cidr.family];
  if (cidr.prefix < min || cidr.prefix > max) {
    throw new InvalidArgumentError(
      `invalid subnet ${subnet}: the prefix length must be from ${min} to ${max}`,
    );
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
  const addresses = inside.map(([, address]) => parseAddress(address).value);
  if (new Set(addresses).size < addresses.length)
    throw new InvalidArgumentError(`subnet ${subnet}: an address is reserved more than once`);
  return cidr;
}
