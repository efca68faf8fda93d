/**
 * From the store's words to the kernel state of one overlay network on this node.
 * Pure. Invariant: the plan depends on resources, identity and local sandboxes alone, and lists come sorted.
 * Source: docs/design/network.md, "Overlay".
 */
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { EndpointMode } from "../../proto/gen/skein/v1/types.js";
import { parsePublicKey } from "../encryption/key-pair.js";
import { isIpv4 } from "../ipam/cidr.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { tunnelAddress } from "../vxlan/node-addresses.js";
import { isPeerNumber } from "../vxlan/transit.js";
import type { NetworkState } from "./network-state.js";
import type { Sandbox } from "./sandbox.js";

export interface BalancedService {
  readonly id: string;
  readonly vips: readonly string[];
  /** Addresses of ready tasks. */
  readonly backends: readonly string[];
}

export interface OverlayPlan {
  readonly networkId: string;
  readonly vni: number;
  /** Local address and those of remote nodes are inside of WireGuard. */
  readonly encrypted: boolean;
  /** 0: what the underlay allows. */
  readonly mtuBytes: number;
  readonly vxlanUdpPort: number;
  readonly nodeNumber: number;
  readonly localAddress: string;
  /** Source of packets that the node itself sends into the network; also answers pings. */
  readonly gateway: string;
  readonly services: readonly BalancedService[];
  /** Node number -> VTEP of each node with a task on this network. */
  readonly remoteNodes: ReadonlyMap<number, string>;
  /** Task address -> node number. */
  readonly remoteTasks: ReadonlyMap<string, number>;
  /** Addresses of tasks attached here. */
  readonly localTasks: readonly string[];
}

/** @returns undefined when the network is unknown or has no VNI yet. */
export function planOverlay(
  state: NetworkState,
  options: { networkId: string; identity: NodeNetworkIdentity; sandboxes: Iterable<Sandbox> },
): OverlayPlan | undefined {
  const { networkId, identity } = options;
  const network = state.networks.get(networkId);
  if (network === undefined || network.vni === 0) return undefined;
  const remoteNodes = new Map<number, string>();
  const remoteTasks = new Map<string, number>();
  for (const endpoint of state.endpointsOf(networkId)) {
    if (endpoint.nodeId === identity.nodeId) continue;
    const peer = state.peers.get(endpoint.nodeId);
    if (peer === undefined || !isPeerNumber(peer.number) || !isIpv4(peer.dataPathAddress)) continue;
    if (network.encrypted && parsePublicKey(peer.wireguardPublicKey) === undefined) continue;
    for (const address of addressesOn(endpoint.attachments, networkId)) {
      remoteTasks.set(address, peer.number);
      remoteNodes.set(peer.number, network.encrypted ? tunnelAddress(peer.number) : peer.dataPathAddress);
    }
  }
  const localTasks = [...options.sandboxes]
    .flatMap(({ overlays }) => overlays)
    .filter((overlay) => overlay.networkId === networkId)
    .map(({ address }) => address)
    .sort();
  return {
    networkId,
    vni: network.vni,
    encrypted: network.encrypted,
    mtuBytes: network.mtuBytes,
    vxlanUdpPort: network.vxlanUdpPort || identity.vxlanUdpPort,
    nodeNumber: identity.number,
    localAddress: network.encrypted ? tunnelAddress(identity.number) : identity.dataPathAddress,
    gateway: gatewayOf(network.ipam),
    services: balancedServices(state, networkId),
    remoteNodes,
    remoteTasks,
    localTasks,
  };
}

function balancedServices(state: NetworkState, networkId: string): BalancedService[] {
  const services: BalancedService[] = [];
  for (const service of state.servicesOf(networkId)) {
    if (service.mode !== EndpointMode.VIP) continue;
    const vips = service.virtualIps
      .filter((vip) => vip.networkId === networkId)
      .map((vip) => withoutPrefix(vip.address));
    if (vips.length === 0) continue;
    const backends = state
      .endpointsOfService(service.id)
      .filter(({ state: endpointState }) => endpointState === EndpointState.READY)
      .flatMap(({ attachments }) => addressesOn(attachments, networkId));
    services.push({ id: service.id, vips: vips.filter(isV4).sort(), backends: backends.sort() });
  }
  return services;
}

/** IPv4 addresses of a task on a network, without prefix. */
export function addressesOn(
  attachments: readonly { readonly networkId: string; readonly addresses: readonly string[] }[],
  networkId: string,
): string[] {
  return attachments
    .filter((attachment) => attachment.networkId === networkId)
    .flatMap(({ addresses }) => addresses.map(withoutPrefix).filter(isV4));
}

export function withoutPrefix(cidr: string): string {
  return cidr.split("/")[0] ?? cidr;
}

function isV4(address: string): boolean {
  return !address.includes(":");
}

function gatewayOf(ipam: readonly { readonly subnet: string; readonly gateway: string }[]): string {
  const config = ipam.find(({ subnet }) => isV4(subnet));
  if (config === undefined) return "";
  if (config.gateway !== "") return withoutPrefix(config.gateway);
  const parts = withoutPrefix(config.subnet).split(".");
  return [...parts.slice(0, 3), String(Number(parts[3]) + 1)].join(".");
}
