/**
 * From the store's words to the routing mesh of this node: which ports it accepts, from whom and on which
 * addresses, to which tasks they lead, who its peers are.
 * Pure. Invariants: the plan depends on resources, identity and local sandboxes alone,
 * and lists come sorted; of what other nodes say of themselves only addresses get in, and a task's only from
 * its own node's transit subnet; of what users say of a port only addresses, subnets and interface names.
 * Source: docs/design/network-ingress.md.
 */
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import type { PortConfig } from "../../proto/gen/skein/v1/types.js";
import { BalancePolicy, PublishMode, SourceMode } from "../../proto/gen/skein/v1/types.js";
import { canonicalPlace, isAddress, isInterfaceName, isSubnet } from "../ipam/host-addresses.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { isPeerNumber, isTransitAddressOf } from "../vxlan/transit.js";
import type { NetworkState } from "./network-state.js";
import { hasIpv6, isGlobal } from "./own-addresses.js";
import type { NftProtocol, Sandbox } from "./sandbox.js";
import { nftProtocol } from "./sandbox.js";

export interface MeshBackend {
  readonly address: string;
  readonly port: number;
  /** Whether the address has its IPv6 twin. @default false */
  readonly hasIpv6?: boolean;
}

export interface MeshPort {
  readonly protocol: NftProtocol;
  readonly publishedPort: number;
  readonly backends: readonly MeshBackend[];
  /**
   * A host-mode port: other nodes' addresses are left alone, where the same port is another task's.
   * @default false
   */
  readonly isNodeOnly?: boolean;
  /** @default round robin */
  readonly balance?: BalancePolicy;
  /** Addresses and interface names it is open on; an empty list: none of this node's. @default all */
  readonly hostAddresses?: readonly string[];
  /** Subnets of clients; all others are refused. @default everybody */
  readonly allowedSources?: readonly string[];
  /** The task sees this node's transit address. @default false */
  readonly isSnat?: boolean;
  /** A listener of this node that has the connections instead of the backends, and takes them there. */
  readonly relay?: MeshBackend;
}

export interface ExposedPort {
  readonly address: string;
  readonly protocol: NftProtocol;
  readonly port: number;
}

export interface MeshPlan {
  readonly nodeNumber: number;
  readonly localAddress: string;
  readonly vxlanUdpPort: number;
  /** Node number -> VTEP of every other node. */
  readonly peers: ReadonlyMap<number, string>;
  /** What nodes are known by, this one too: of both families, sorted. */
  readonly nodeAddresses: readonly string[];
  /** Whether this node has IPv6; without it there is no IPv6 in the mesh here, and nothing is lost. */
  readonly hasIpv6: boolean;
  readonly ports: readonly MeshPort[];
  /** Gateway addresses of tasks here. */
  readonly localTasks: readonly string[];
  /** What may be reached on them from outside their own overlays. */
  readonly exposed: readonly ExposedPort[];
}

export interface MeshOptions {
  readonly identity: NodeNetworkIdentity;
  /** By task id. */
  readonly sandboxes: ReadonlyMap<string, Sandbox>;
  /**
   * Listeners on this node for ports whose tasks are told the client by the PROXY protocol, by port
   * ("80/tcp"). Without one such a port is closed.
   */
  readonly relays?: ReadonlyMap<string, MeshBackend>;
  /** Of the data path's interface. @default none */
  readonly ownAddresses?: readonly string[];
}

/** What one service has of the mesh. */
export interface ServiceShare {
  readonly ports: readonly MeshPort[];
  readonly exposed: readonly ExposedPort[];
}

/** The plan, made anew from everything. `MeshPlanner` gives an equal one, step by step. */
export function planMesh(state: NetworkState, options: MeshOptions): MeshPlan {
  const shares = [...state.services.keys()].sort().map((id) => shareOf(state, id, options));
  return assemble(shares, { ...options, nodes: nodesOf(state, options) });
}

export interface MeshNodes {
  /** Node number -> VTEP of every other node. */
  readonly peers: ReadonlyMap<number, string>;
  readonly addresses: readonly string[];
}

export function nodesOf(state: NetworkState, { identity, ownAddresses = [] }: MeshOptions): MeshNodes {
  const peers = new Map<number, string>();
  const addresses = new Set([identity.dataPathAddress, ...ownAddresses].filter(isAddress));
  for (const nodeId of [...state.peers.keys()].sort()) {
    const peer = state.peers.get(nodeId);
    if (peer === undefined || nodeId === identity.nodeId || peer.number === identity.number) continue;
    if (isPeerNumber(peer.number) && isAddress(peer.dataPathAddress)) {
      // a tunnel is of one family: to a node of the other one there is no way, as overlays' troubles say
      if (peer.dataPathAddress.includes(":") === identity.dataPathAddress.includes(":"))
        peers.set(peer.number, peer.dataPathAddress);
      addresses.add(peer.dataPathAddress);
      for (const address of peer.nodeAddresses)
        if (isAddress(address) && isGlobal(address)) addresses.add(address);
    }
  }
  return { peers, addresses: [...addresses].sort() };
}

/** The published ports of a service, and where its tasks here may be reached. */
export function shareOf(state: NetworkState, serviceId: string, options: MeshOptions): ServiceShare {
  const { identity, sandboxes, ownAddresses = [] } = options;
  const service = state.services.get(serviceId);
  const configs = (service?.ports ?? []).filter(
    ({ publishMode, publishedPort }) => publishMode === PublishMode.INGRESS && publishedPort !== 0,
  );
  if (service === undefined || configs.length === 0) return { ports: [], exposed: [] };
  const ready: Omit<MeshBackend, "port">[] = [];
  const local: string[] = [];
  for (const endpoint of state.endpointsOfService(serviceId)) {
    const sandbox = sandboxes.get(endpoint.taskId);
    const address = endpoint.gatewayAddress || sandbox?.gatewayAddress || "";
    const peer = state.peers.get(endpoint.nodeId);
    const isHere = endpoint.nodeId === identity.nodeId;
    const number = isHere ? identity.number : peer?.number;
    if (number === undefined || !isTransitAddressOf(number, address)) continue;
    if (endpoint.state === EndpointState.READY) {
      const isTwofold = hasIpv6(isHere ? ownAddresses : (peer?.nodeAddresses ?? []));
      ready.push({ address, ...(isTwofold ? { hasIpv6: true } : {}) });
    }
    if (sandbox !== undefined) local.push(address);
  }
  const ports = configs.map((config): MeshPort => {
    const protocol = nftProtocol(config.protocol);
    const { publishedPort, targetPort: port } = config;
    const backends = ready.map((target) => ({ ...target, port }));
    const isProxied = config.sourceMode === SourceMode.PROXY;
    const relay = isProxied ? options.relays?.get(`${publishedPort}/${protocol}`) : undefined;
    return {
      protocol,
      publishedPort,
      backends: isProxied && relay === undefined ? [] : backends,
      ...(service.balance === BalancePolicy.ROUND_ROBIN ? {} : { balance: service.balance }),
      ...admissionOf(config),
      ...(relay === undefined ? {} : { relay }),
    };
  });
  const exposed = configs.flatMap(({ protocol, targetPort }) =>
    local.map((address) => ({ address, protocol: nftProtocol(protocol), port: targetPort })),
  );
  return { ports, exposed };
}

/** Of several services with one port the first has it. @param shares in the order of the services' ids. */
export function assemble(
  shares: Iterable<ServiceShare>,
  options: MeshOptions & { readonly nodes: MeshNodes },
): MeshPlan {
  const { identity, sandboxes, nodes, ownAddresses = [] } = options;
  const isTwofold = hasIpv6(ownAddresses);
  const ports = new Map<string, MeshPort>();
  const exposed = new Map<string, ExposedPort>();
  const expose = (port: ExposedPort): void => {
    exposed.set(`${port.address} ${port.protocol} ${port.port}`, port);
  };
  for (const share of shares) {
    for (const port of share.ports) {
      const key = `${port.protocol} ${port.publishedPort}`;
      if (!ports.has(key)) ports.set(key, port);
    }
    share.exposed.forEach(expose);
  }
  const localTasks: string[] = [];
  for (const taskId of [...sandboxes.keys()].sort()) {
    const sandbox = sandboxes.get(taskId);
    if (sandbox?.gatewayAddress === undefined) continue;
    localTasks.push(sandbox.gatewayAddress);
    for (const config of sandbox.hostPorts) {
      const port = hostPort(config, {
        address: sandbox.gatewayAddress,
        ...(isTwofold ? { hasIpv6: true } : {}),
      });
      ports.set(`${port.protocol} ${port.publishedPort}`, port);
      expose({ address: sandbox.gatewayAddress, protocol: port.protocol, port: config.targetPort });
    }
  }
  return {
    nodeNumber: identity.number,
    localAddress: identity.dataPathAddress,
    vxlanUdpPort: identity.vxlanUdpPort,
    peers: nodes.peers,
    nodeAddresses: nodes.addresses,
    hasIpv6: isTwofold,
    ports: sortedValues(ports),
    localTasks: localTasks.sort(),
    exposed: sortedValues(exposed),
  };
}

function hostPort(config: PortConfig, target: Omit<MeshBackend, "port">): MeshPort {
  return {
    protocol: nftProtocol(config.protocol),
    publishedPort: config.publishedPort,
    backends: [{ ...target, port: config.targetPort }],
    isNodeOnly: true,
    ...admissionOf(config),
  };
}

/**
 * On which addresses and for whom a port is open. What is no address, subnet or name is left out, which
 * narrows: a list never becomes "all" by that.
 */
function admissionOf(config: PortConfig): Pick<MeshPort, "hostAddresses" | "allowedSources" | "isSnat"> {
  const isPlace = (text: string): boolean => isAddress(text) || isInterfaceName(text);
  return {
    ...(config.hostAddresses.length === 0
      ? {}
      : { hostAddresses: config.hostAddresses.filter(isPlace).map(canonicalPlace).sort() }),
    ...(config.allowedSources.length === 0
      ? {}
      : { allowedSources: config.allowedSources.filter(isSubnet).sort() }),
    ...(config.sourceMode === SourceMode.SNAT ? { isSnat: true } : {}),
  };
}

function sortedValues<T>(map: ReadonlyMap<string, T>): T[] {
  return [...map.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}
