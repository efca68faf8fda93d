/**
 * What one network, service or task gets from the address space, or why it cannot have it.
 * Pure, save that what is given out is taken from the space.
 * Invariant: a refusal names the bound and its figures.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { AddressPool } from "../../net-overlay/ipam/address-pool.js";
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
import { type AddressSpace, isIngress, PORT_MAX, PORT_MIN } from "./address-space.js";

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

export function needsAllocation(network: Network): boolean {
  return isOverlay(network) && !network.pendingDelete && (network.vni === 0 || network.ipam.length === 0);
}

/** @returns VNI and subnets with their gateways. */
export function allocateNetwork(
  space: AddressSpace,
  network: Network,
): Pick<Network, "vni" | "ipam"> | Refusal {
  const vni = network.vni || space.takeVni(network.id);
  if (vni === undefined) return new Refusal("no-address", "all VXLAN network identifiers are in use");
  const asked = network.ipam.length > 0 ? network.ipam : (network.spec?.ipamConfigs ?? []);
  const configs: readonly IpamConfig[] =
    asked.length > 0 ? asked : [{ subnet: "", range: "", gateway: "", reserved: {} }];
  const ipam: IpamConfig[] = [];
  for (const config of configs) {
    const subnet = config.subnet || space.takeSubnet(network.id);
    if (subnet === undefined) {
      const { leaseCount } = space.subnets;
      return new Refusal(
        "no-address",
        `no free subnet in ${space.subnets.describe()} (${leaseCount} in use)`,
      );
    }
    try {
      const pool = new AddressPool({ ...config, subnet, reserved: Object.values(config.reserved) });
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

function vipNetworks(service: Service): readonly NetworkAttachmentConfig[] {
  return (service.spec?.endpoint?.mode ?? EndpointMode.VIP) === EndpointMode.VIP
    ? (service.spec?.task?.networks ?? [])
    : [];
}

/** True when the service's endpoint is what its specification asks for. */
export function hasEndpoint(service: Service, view: AllocationView): boolean {
  const { endpoint } = service;
  if (endpoint === undefined || !sameEndpointSpec(endpoint.spec, service.spec?.endpoint)) return false;
  if (endpoint.ports.length !== (service.spec?.endpoint?.ports.length ?? 0)) return false;
  const wanted = vipNetworks(service).filter(({ target }) => {
    const network = view.network(target);
    return network === undefined || isOverlay(network);
  });
  return (
    endpoint.virtualIps.length === wanted.length &&
    wanted.every(({ target }) => endpoint.virtualIps.some((vip) => vip.networkId === target))
  );
}

/**
 * @returns the endpoint with every port and a virtual address per network; what the service had, it keeps.
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
  const virtualIps: VirtualIp[] = [];
  for (const { target: networkId } of overlays) {
    const kept = service.endpoint?.virtualIps.find((vip) => vip.networkId === networkId);
    if (kept !== undefined) {
      virtualIps.push(kept);
      continue;
    }
    const taken = space.takeAddresses(service.id, networkId);
    if ("refusal" in taken) return new Refusal("no-address", taken.refusal);
    const [address] = taken.addresses;
    if (address !== undefined) virtualIps.push({ networkId, address });
  }
  return { spec: service.spec?.endpoint, ports, virtualIps };
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

/** @returns one attachment per network of the task, with its addresses. */
export function allocateTask(
  space: AddressSpace,
  task: Task,
  view: AllocationView,
): readonly TaskAttachment[] | Refusal {
  const wanted = task.spec?.networks ?? [];
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

function addressesFor(
  space: AddressSpace,
  taskId: string,
  attachment: NetworkAttachmentConfig,
): readonly string[] | Refusal {
  if (attachment.addresses.length === 0) {
    const taken = space.takeAddresses(taskId, attachment.target);
    return "refusal" in taken ? new Refusal("no-address", taken.refusal) : taken.addresses;
  }
  const addresses: string[] = [];
  for (const address of attachment.addresses) {
    const reserved = space.reserveAddress(taskId, { networkId: attachment.target, address });
    if ("refusal" in reserved) return new Refusal("no-address", reserved.refusal);
    addresses.push(reserved.address);
  }
  return addresses;
}
