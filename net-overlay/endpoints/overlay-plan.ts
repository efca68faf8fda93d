/**
 * From the store's words to the kernel state of one overlay network on this node, both families together.
 * Pure. Invariant: the plan depends on resources, identity and local sandboxes alone. `planOverlay` makes it
 * anew and is the reference; `OverlayPlanner` gives an equal one, step by step.
 * Source: docs/design/network-overlay.md.
 */
import type { NetworkResource, ServiceResource } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { BalancePolicy, EndpointMode } from "../../proto/gen/skein/v1/types.js";
import { parsePublicKey } from "../encryption/key-pair.js";
import { formatAddress, parseAddress } from "../ipam/cidr.js";
import { isAddress } from "../ipam/host-addresses.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { tunnelAddress } from "../vxlan/node-addresses.js";
import { isPeerNumber } from "../vxlan/transit.js";
import type { NetworkState } from "./network-state.js";
import type { Sandbox } from "./sandbox.js";
import { overlayAddresses, overlayLinks } from "./sandbox.js";

export interface BalancedService {
  readonly id: string;
  readonly vips: readonly string[];
  /** Addresses of ready tasks, in the same order on every node. */
  readonly backends: readonly string[];
  /** @default round robin */
  readonly balance?: BalancePolicy;
  /** Those of them that are on this node, where the policy asks. @default none */
  readonly local?: readonly string[];
}

/** A task attached here, as its namespace sees the network. */
export interface LocalTask {
  readonly taskId: string;
  /** Undefined: the sandbox of that task. */
  readonly netnsPath: string | undefined;
  readonly linkName: string;
  readonly addresses: readonly string[];
}

/** What seldom changes, and when it does, touches everything. */
export interface OverlayHead {
  readonly networkId: string;
  readonly vni: number;
  /** Local address and those of remote nodes are inside of WireGuard. */
  readonly encrypted: boolean;
  /** What the network asks for; 0: what the path allows. */
  readonly mtuBytes: number;
  readonly vxlanUdpPort: number;
  readonly nodeNumber: number;
  readonly localAddress: string;
  /** The first of IPv4: source of packets that the node itself sends into the network; answers pings; or "". */
  readonly gateway: string;
  /** The same of IPv6. */
  readonly gateway6: string;
  /** One per subnet. */
  readonly gateways: readonly string[];
  readonly subnets: readonly string[];
}

export interface OverlayPlan extends OverlayHead {
  /** The least that was measured to or from a node with a task on the network; 0: nothing yet. */
  readonly pathMtuBytes: number;
  /** By id. */
  readonly services: ReadonlyMap<string, BalancedService>;
  /** Node number -> VTEP of each node with a task on this network. */
  readonly remoteNodes: ReadonlyMap<number, string>;
  /** Task address -> node number. */
  readonly remoteTasks: ReadonlyMap<string, number>;
  /** Addresses of tasks attached here, sorted. */
  readonly localTasks: readonly string[];
  /** The tasks, by id. */
  readonly locals: readonly LocalTask[];
  /** Names of nodes with a task on the network to which there is no way: their VTEP is of the other family. */
  readonly unreachable: readonly string[];
}

export interface OverlayOptions {
  readonly networkId: string;
  readonly identity: NodeNetworkIdentity;
  readonly sandboxes: Iterable<Sandbox>;
}

/** @returns undefined when the network is unknown or has no VNI yet. */
export function planOverlay(state: NetworkState, options: OverlayOptions): OverlayPlan | undefined {
  const { networkId, identity } = options;
  const network = state.networks.get(networkId);
  if (network === undefined || network.vni === 0) return undefined;
  const remoteNodes = new Map<number, string>();
  const remoteTasks = new Map<string, number>();
  const nodeIds = new Set<string>();
  for (const { taskId } of state.endpointsOf(networkId)) {
    const remote = remoteOf(state, taskId, { network, identity });
    if (remote === undefined) continue;
    nodeIds.add(remote.nodeId);
    remoteNodes.set(remote.number, remote.vtep);
    for (const address of remote.addresses) remoteTasks.set(address, remote.number);
  }
  const services = new Map<string, BalancedService>();
  for (const { id } of state.servicesOf(networkId)) {
    const service = balancedService(state, id, { networkId, nodeId: identity.nodeId });
    if (service !== undefined) services.set(id, service);
  }
  return {
    ...headOf(network, identity),
    pathMtuBytes: pathMtuOf(state, [identity.nodeId, ...nodeIds]),
    services,
    remoteNodes,
    remoteTasks,
    ...localsOf(options),
    unreachable: unreachableOf(state, { network, identity }),
  };
}

export function headOf(network: NetworkResource, identity: NodeNetworkIdentity): OverlayHead {
  const gateways = network.ipam.map(gatewayOf).filter((address) => address !== "");
  return {
    networkId: network.id,
    vni: network.vni,
    encrypted: network.encrypted,
    mtuBytes: network.mtuBytes,
    vxlanUdpPort: network.vxlanUdpPort || identity.vxlanUdpPort,
    nodeNumber: identity.number,
    localAddress: network.encrypted ? tunnelAddress(identity.number) : identity.dataPathAddress,
    gateway: gateways.find((address) => !isV6(address)) ?? "",
    gateway6: gateways.find(isV6) ?? "",
    gateways,
    subnets: network.ipam.map(({ subnet }) => subnet),
  };
}

/** A task elsewhere, and the way to it. */
export interface RemoteTask {
  readonly nodeId: string;
  readonly number: number;
  readonly vtep: string;
  readonly addresses: readonly string[];
}

interface Place {
  readonly network: NetworkResource;
  readonly identity: NodeNetworkIdentity;
}

/** @returns undefined for a task that is not on the network, or here, or on a node that cannot be reached. */
export function remoteOf(state: NetworkState, taskId: string, place: Place): RemoteTask | undefined {
  const { network, identity } = place;
  const endpoint = state.endpoints.get(taskId);
  if (endpoint === undefined || endpoint.nodeId === identity.nodeId) return undefined;
  const vtep = vtepOf(state, endpoint.nodeId, place);
  const number = state.peers.get(endpoint.nodeId)?.number;
  if (vtep === undefined || number === undefined) return undefined;
  const addresses = addressesOn(endpoint.attachments, network.id);
  return addresses.length === 0 ? undefined : { nodeId: endpoint.nodeId, number, vtep, addresses };
}

/** Where a node's tunnel of the network ends; an encrypted network's tunnels end inside of WireGuard. */
function vtepOf(state: NetworkState, nodeId: string, { network, identity }: Place): string | undefined {
  const peer = state.peers.get(nodeId);
  if (peer === undefined || !isPeerNumber(peer.number) || !isAddress(peer.dataPathAddress)) return undefined;
  if (network.encrypted)
    return parsePublicKey(peer.wireguardPublicKey) === undefined ? undefined : tunnelAddress(peer.number);
  return isV6(peer.dataPathAddress) === isV6(identity.dataPathAddress) ? peer.dataPathAddress : undefined;
}

/** Names of nodes that use the other family between hosts, sorted. Cost: the cluster's nodes. */
export function unreachableOf(state: NetworkState, { network, identity }: Place): string[] {
  if (network.encrypted) return [];
  const others = [...state.peers.values()].filter(
    ({ nodeId, dataPathAddress }) =>
      nodeId !== identity.nodeId &&
      isAddress(dataPathAddress) &&
      isV6(dataPathAddress) !== isV6(identity.dataPathAddress),
  );
  if (others.length === 0) return [];
  const here = state.nodesOf(network.id);
  return others
    .filter(({ nodeId }) => here.has(nodeId))
    .map(({ hostname, nodeId }) => hostname || nodeId)
    .sort();
}

/** @returns undefined for a service that has no VIP on the network. */
export function balancedService(
  state: NetworkState,
  serviceId: string,
  { networkId, nodeId }: { readonly networkId: string; readonly nodeId: string },
): BalancedService | undefined {
  const service = state.services.get(serviceId);
  if (service === undefined || service.mode !== EndpointMode.VIP) return undefined;
  const vips = vipsOn(service, networkId);
  if (vips.length === 0) return undefined;
  const backends: string[] = [];
  const local: string[] = [];
  for (const endpoint of state.endpointsOfService(serviceId)) {
    if (endpoint.state !== EndpointState.READY) continue;
    const addresses = addressesOn(endpoint.attachments, networkId);
    backends.push(...addresses);
    if (endpoint.nodeId === nodeId) local.push(...addresses);
  }
  const { balance } = service;
  return {
    id: serviceId,
    vips,
    backends: backends.sort(),
    ...(balance === BalancePolicy.ROUND_ROBIN ? {} : { balance }),
    ...(balance === BalancePolicy.LOCAL_FIRST && local.length > 0 ? { local: local.sort() } : {}),
  };
}

function vipsOn(service: ServiceResource, networkId: string): string[] {
  return service.virtualIps
    .filter((vip) => vip.networkId === networkId)
    .map((vip) => canonical(vip.address))
    .sort();
}

/** The least MTU that nodes measured; 0: none did. */
export function pathMtuOf(state: NetworkState, nodeIds: Iterable<string>): number {
  let least = 0;
  for (const nodeId of nodeIds) {
    const measured = state.peers.get(nodeId)?.pathMtuBytes ?? 0;
    if (measured > 0 && (least === 0 || measured < least)) least = measured;
  }
  return least;
}

export function localsOf(options: OverlayOptions): Pick<OverlayPlan, "localTasks" | "locals"> {
  const locals: LocalTask[] = [];
  for (const sandbox of options.sandboxes) {
    for (const { overlay, linkName } of overlayLinks(sandbox)) {
      if (overlay.networkId !== options.networkId) continue;
      const addresses = overlayAddresses(overlay);
      locals.push({ taskId: sandbox.taskId, netnsPath: sandbox.plug?.netnsPath, linkName, addresses });
    }
  }
  locals.sort((a, b) => (a.taskId < b.taskId ? -1 : 1));
  return { localTasks: locals.flatMap(({ addresses }) => addresses).sort(), locals };
}

/** Addresses of a task on a network, of both families, without prefix. */
export function addressesOn(
  attachments: readonly { readonly networkId: string; readonly addresses: readonly string[] }[],
  networkId: string,
): string[] {
  return attachments
    .filter((attachment) => attachment.networkId === networkId)
    .flatMap(({ addresses }) => addresses.map(canonical));
}

export function withoutPrefix(cidr: string): string {
  return cidr.split("/")[0] ?? cidr;
}

/** Without prefix, and as the kernel's answers are written, so that they can be compared. */
function canonical(cidr: string): string {
  const address = withoutPrefix(cidr);
  return isV6(address) && isAddress(address) ? formatAddress(6, parseAddress(address).value) : address;
}

function isV6(address: string): boolean {
  return address.includes(":");
}

/** The subnet's own, or its first address. */
function gatewayOf(config: { readonly subnet: string; readonly gateway: string }): string {
  if (config.gateway !== "") return canonical(config.gateway);
  const address = withoutPrefix(config.subnet);
  if (!isAddress(address)) return "";
  const { family, value } = parseAddress(address);
  return formatAddress(family, value + 1n);
}
