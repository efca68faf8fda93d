/**
 * What one network, service or task gets from the address space, or why it cannot have it.
 * Pure, save that what is given out is taken from the space.
 * Invariant: a refusal names the bound and its figures.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { formatAddress, type IpFamily, parseAddress } from "../../net-overlay/ipam/cidr.js";
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import type { Network, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  type Endpoint,
  EndpointMode,
  type IpamConfig,
  type NetworkAttachmentConfig,
  type PortConfig,
  PortProtocol,
  type TaskAttachment,
  type VirtualIp,
} from "../../proto/gen/skein/v1/types.js";
import { sameEndpointSpec } from "../orchestrator/spec-equality.js";
import { type AddressSpace, isIngress, PORT_MAX, PORT_MIN, poolOf } from "./address-space.js";

/** The VXLAN identifiers a network wants. Source: Docker's overlay driver. */
export const VXLAN_ID_OPTION = "com.docker.network.driver.overlay.vxlanid_list";

/** Machine-readable; stored as the task's cause. */
export type RefusalCause = (typeof REFUSAL_CAUSES)[number];
export const REFUSAL_CAUSES = [
  "no-address",
  "no-port",
  "port-in-use",
  "network-not-found",
  "network-not-ready",
] as const;

/** Why something could not be allocated. */
export class Refusal {
  readonly cause: RefusalCause;
  readonly text: string;

  constructor(cause: RefusalCause, text: string) {
    this.cause = cause;
    this.text = text;
  }
}

/** What the allocator reads of the rest. */
export interface AllocationView {
  readonly network: (id: string) => Network | undefined;
  readonly serviceName: (id: string) => string;
  /** Why a network could not be allocated, in words; undefined when it can, or has not been tried. */
  readonly networkProblem: (id: string) => string | undefined;
}

/** Only overlays have identifiers and addresses that the cluster gives. */
export function isOverlay(network: Network): boolean {
  const driver = network.spec?.driver ?? "";
  return driver === "" || driver === "overlay";
}

/** Of a network's own choice; undefined: any. Source: Docker's overlay driver, the first of its list. */
export function chosenVni(network: Pick<Network, "spec">): number | undefined {
  const text = network.spec?.driverOptions[VXLAN_ID_OPTION] ?? "";
  return text === "" ? undefined : Number(text.split(",")[0]);
}

/** A subnet that the network is to have and has not: "" for one of the pools. */
interface MissingSubnet {
  readonly config: IpamConfig;
  readonly family: IpFamily;
}

function missingSubnets({ spec, ipam }: Network): readonly MissingSubnet[] {
  const chosen = (spec?.ipamConfigs ?? []).filter(({ subnet }) => subnet !== "");
  const has = (family: IpFamily): boolean =>
    [...chosen, ...ipam].some(({ subnet }) => familyOf(subnet) === family);
  const automatic: IpFamily[] = [];
  if (spec?.ipv4Disabled !== true && !has(4)) automatic.push(4);
  if (spec?.ipv6Enabled === true && !has(6)) automatic.push(6);
  return [
    ...automatic.map((family) => ({ family, config: { subnet: "", range: "", gateway: "", reserved: {} } })),
    ...chosen
      .filter(({ subnet }) => !ipam.some((given) => given.subnet === subnet))
      .map((config) => ({ family: familyOf(config.subnet), config })),
  ];
}

function familyOf(subnet: string): IpFamily {
  return subnet.includes(":") ? 6 : 4;
}

export function needsAllocation(network: Network): boolean {
  return (
    isOverlay(network) && !network.pendingDelete && (network.vni === 0 || missingSubnets(network).length > 0)
  );
}

function allocateVni(space: AddressSpace, network: Network): number | Refusal {
  const chosen = chosenVni(network);
  if (network.vni !== 0) return network.vni;
  if (chosen !== undefined) {
    if (space.reserveVni(network.id, chosen)) return chosen;
    return new Refusal("no-address", `VXLAN network identifier ${chosen} is in use by another network`);
  }
  const vni = space.takeVni(network.id);
  return vni ?? new Refusal("no-address", "all VXLAN network identifiers are in use");
}

/** @returns VNI and subnets with their gateways; what the network has, it keeps. */
export function allocateNetwork(
  space: AddressSpace,
  network: Network,
): Pick<Network, "vni" | "ipam"> | Refusal {
  const vni = allocateVni(space, network);
  if (vni instanceof Refusal) return vni;
  const ipam: IpamConfig[] = [...network.ipam];
  for (const { config, family } of missingSubnets(network)) {
    const subnet = config.subnet || space.takeSubnet(network.id, family);
    if (subnet === undefined) {
      const { subnets } = space;
      return new Refusal(
        "no-address",
        `no free subnet in ${subnets.describe(family)} (${subnets.leaseCount(family)} in use)`,
      );
    }
    try {
      const pool = poolOf({ ...config, subnet });
      ipam.push({ ...config, subnet: pool.subnet, gateway: pool.gateway });
    } catch (error) {
      if (error instanceof InvalidArgumentError) return new Refusal("no-address", error.message);
      throw error;
    }
  }
  return { vni, ipam };
}

/** The overlays a specification names, or what is wrong with one of them. */
function overlaysOf(
  attachments: readonly NetworkAttachmentConfig[],
  view: AllocationView,
  space: AddressSpace,
): readonly NetworkAttachmentConfig[] | Refusal {
  const overlays: NetworkAttachmentConfig[] = [];
  for (const attachment of attachments) {
    const network = view.network(attachment.target);
    if (network === undefined)
      return new Refusal("network-not-found", `network ${attachment.target} not found`);
    if (!isOverlay(network)) continue;
    if (space.pools(network.id) === undefined) {
      const name = network.spec?.annotations?.name || network.id;
      const problem = view.networkProblem(network.id) ?? "no subnet yet";
      return new Refusal("network-not-ready", `network ${name}: ${problem}`);
    }
    overlays.push(attachment);
  }
  return overlays;
}

/** Networks of the node are nothing to allocate on: whoever asks for an address there waits for ever. */
function ofCluster(
  networks: readonly NetworkAttachmentConfig[] | undefined,
): readonly NetworkAttachmentConfig[] {
  return (networks ?? []).filter(({ target }) => !isNodeNetwork(target));
}

function vipNetworks(service: Service): readonly NetworkAttachmentConfig[] {
  return (service.spec?.endpoint?.mode ?? EndpointMode.VIP) === EndpointMode.VIP
    ? ofCluster(service.spec?.task?.networks)
    : [];
}

/** True when the service's endpoint is what its specification asks for. */
export function hasEndpoint(service: Service, view: AllocationView): boolean {
  const { endpoint } = service;
  if (endpoint === undefined || !sameEndpointSpec(endpoint.spec, service.spec?.endpoint)) return false;
  if (endpoint.ports.length !== (service.spec?.endpoint?.ports.length ?? 0)) return false;
  let wantedCount = 0;
  for (const { target } of vipNetworks(service)) {
    const network = view.network(target);
    if (network !== undefined && !isOverlay(network)) continue;
    for (const family of familiesOf(network)) {
      wantedCount++;
      if (vipOf(endpoint, target, family) === undefined) return false;
    }
  }
  return endpoint.virtualIps.length === wantedCount;
}

/** One that is not allocated yet has no endpoints: whatever is found lacking then is asked for again. */
function familiesOf(network: Network | undefined): readonly IpFamily[] {
  const families = new Set((network?.ipam ?? []).map(({ subnet }) => familyOf(subnet)));
  return families.size === 0 ? [4] : [...families].sort();
}

function vipOf(endpoint: Endpoint | undefined, networkId: string, family: IpFamily): VirtualIp | undefined {
  return endpoint?.virtualIps.find((vip) => vip.networkId === networkId && familyOf(vip.address) === family);
}

/**
 * @returns the endpoint with every port, and a virtual address per network and family; what the service had,
 * it keeps, unless it chose another.
 */
export function allocateEndpoint(
  space: AddressSpace,
  service: Service,
  view: AllocationView,
): Endpoint | Refusal {
  const overlays = overlaysOf(vipNetworks(service), view, space);
  if (overlays instanceof Refusal) return overlays;
  const ports = allocatePorts(space, service, view);
  if (ports instanceof Refusal) return ports;
  const virtualIps = allocateVips(
    space,
    service,
    overlays.map(({ target }) => target),
  );
  if (virtualIps instanceof Refusal) return virtualIps;
  return { spec: service.spec?.endpoint, ports, virtualIps };
}

function allocateVips(
  space: AddressSpace,
  service: Service,
  networkIds: readonly string[],
): readonly VirtualIp[] | Refusal {
  const unplaced = new Set(service.spec?.endpoint?.virtualAddresses ?? []);
  const virtualIps: VirtualIp[] = [];
  for (const networkId of networkIds) {
    for (const family of space.families(networkId)) {
      const own = (space.pools(networkId) ?? []).filter(({ cidr }) => cidr.family === family);
      const chosen = [...unplaced].find((address) => own.some((pool) => pool.contains(address)));
      if (chosen !== undefined) unplaced.delete(chosen);
      const kept = vipOf(service.endpoint, networkId, family);
      if (kept !== undefined && (chosen === undefined || isSameAddress(kept.address, chosen))) {
        virtualIps.push(kept);
        continue;
      }
      const given =
        chosen === undefined
          ? space.takeAddress(service.id, networkId, family)
          : space.reserveAddress(service.id, { networkId, address: chosen });
      if ("refusal" in given) return new Refusal("no-address", given.refusal);
      virtualIps.push({ networkId, address: given.address });
    }
  }
  const [nowhere] = unplaced;
  if (nowhere === undefined || networkIds.length === 0) return virtualIps;
  return new Refusal(
    "no-address",
    `virtual address ${nowhere} is in no subnet of the service's networks, or one of them has another`,
  );
}

/** @param cidr written as the allocator does. */
function isSameAddress(cidr: string, chosen: string): boolean {
  const { family, value } = parseAddress(chosen);
  return cidr.split("/")[0] === formatAddress(family, value);
}

function allocatePorts(
  space: AddressSpace,
  service: Service,
  view: AllocationView,
): readonly PortConfig[] | Refusal {
  const before = [...(service.endpoint?.ports ?? [])];
  const ports: PortConfig[] = [];
  for (const port of service.spec?.endpoint?.ports ?? []) {
    if (!isIngress(port)) {
      ports.push(port);
      continue;
    }
    const kept = port.publishedPort === 0 ? takeSame(before, port) : undefined;
    const taken = space.takePort(service.id, kept ?? port);
    if ("number" in taken) {
      ports.push({ ...port, publishedPort: taken.number });
      continue;
    }
    if (taken.holder === "") {
      return new Refusal(
        "no-port",
        `no free port in ${PORT_MIN}-${PORT_MAX} (${PORT_MAX - PORT_MIN + 1} in use)`,
      );
    }
    return new Refusal(
      "port-in-use",
      `port ${port.publishedPort}/${protocolName(port)} is already published by service ` +
        `${view.serviceName(taken.holder)}`,
    );
  }
  return ports;
}

/** Removes and returns the port that was given for the same request before. */
function takeSame(before: PortConfig[], port: PortConfig): PortConfig | undefined {
  const at = before.findIndex(
    (old) =>
      isIngress(old) &&
      old.publishedPort >= PORT_MIN &&
      old.publishedPort <= PORT_MAX &&
      old.name === port.name &&
      old.protocol === port.protocol &&
      old.targetPort === port.targetPort,
  );
  return at < 0 ? undefined : before.splice(at, 1)[0];
}

export function protocolName(port: Pick<PortConfig, "protocol">): string {
  if (port.protocol === PortProtocol.UDP) return "udp";
  return port.protocol === PortProtocol.SCTP ? "sctp" : "tcp";
}

/** @returns one attachment per network of the task, but for those of its node, with its addresses. */
export function allocateTask(
  space: AddressSpace,
  task: Task,
  view: AllocationView,
): readonly TaskAttachment[] | Refusal {
  const wanted = ofCluster(task.spec?.networks);
  const overlays = overlaysOf(wanted, view, space);
  if (overlays instanceof Refusal) return overlays;
  const attachments: TaskAttachment[] = [];
  for (const attachment of wanted) {
    const addresses = overlays.includes(attachment) ? addressesFor(space, task.id, attachment) : [];
    if (addresses instanceof Refusal) return addresses;
    attachments.push({ networkId: attachment.target, addresses, aliases: attachment.aliases });
  }
  return attachments;
}

/** The chosen addresses, and one of the pools for each family that chose none. */
function addressesFor(
  space: AddressSpace,
  taskId: string,
  attachment: NetworkAttachmentConfig,
): readonly string[] | Refusal {
  const networkId = attachment.target;
  const addresses: string[] = [];
  for (const address of attachment.addresses) {
    const reserved = space.reserveAddress(taskId, { networkId, address });
    if ("refusal" in reserved) return new Refusal("no-address", reserved.refusal);
    addresses.push(reserved.address);
  }
  for (const family of space.families(networkId)) {
    if (addresses.some((address) => familyOf(address) === family)) continue;
    const taken = space.takeAddress(taskId, networkId, family);
    if ("refusal" in taken) return new Refusal("no-address", taken.refusal);
    addresses.push(taken.address);
  }
  return addresses;
}
