/**
 * From the store's words to the routing mesh of this node: which ports it accepts,
 * to which tasks they lead, who its peers are.
 * Pure. Invariants: the plan depends on resources, identity and local sandboxes alone,
 * and lists come sorted; of what other nodes say of themselves only addresses get in, and a task's only from
 * its own node's transit subnet.
 * Source: docs/design/network.md, "Mesh".
 */
import { EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { PublishMode } from "../../proto/gen/skein/v1/types.js";
import { isIpv4 } from "../ipam/cidr.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { isPeerNumber, isTransitAddressOf } from "../vxlan/transit.js";
import type { NetworkState } from "./network-state.js";
import type { NftProtocol, Sandbox } from "./sandbox.js";
import { nftProtocol } from "./sandbox.js";

export interface MeshBackend {
  readonly address: string;
  readonly port: number;
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
  readonly ports: readonly MeshPort[];
  /** Gateway addresses of tasks here. */
  readonly localTasks: readonly string[];
  /** What may be reached on them from outside their own overlays. */
  readonly exposed: readonly ExposedPort[];
}

export function planMesh(
  state: NetworkState,
  options: { identity: NodeNetworkIdentity; sandboxes: ReadonlyMap<string, Sandbox> },
): MeshPlan {
  const { identity, sandboxes } = options;
  const peers = new Map<number, string>();
  for (const nodeId of [...state.peers.keys()].sort()) {
    const peer = state.peers.get(nodeId);
    if (peer === undefined || nodeId === identity.nodeId) continue;
    if (peer.number !== identity.number && isPeerNumber(peer.number) && isIpv4(peer.dataPathAddress)) {
      peers.set(peer.number, peer.dataPathAddress);
    }
  }
  const ports = new Map<string, MeshPort>();
  const exposed = new Map<string, ExposedPort>();
  const expose = (port: ExposedPort): void => {
    exposed.set(`${port.address} ${port.protocol} ${port.port}`, port);
  };
  for (const serviceId of [...state.services.keys()].sort()) {
    for (const { protocol: kind, publishedPort, targetPort, publishMode } of state.services.get(serviceId)
      ?.ports ?? []) {
      if (publishMode !== PublishMode.INGRESS || publishedPort === 0) continue;
      const protocol = nftProtocol(kind);
      const backends: MeshBackend[] = [];
      for (const endpoint of state.endpointsOfService(serviceId)) {
        const local = sandboxes.get(endpoint.taskId);
        const address = endpoint.gatewayAddress || local?.gatewayAddress || "";
        const number =
          endpoint.nodeId === identity.nodeId ? identity.number : state.peers.get(endpoint.nodeId)?.number;
        if (number === undefined || !isTransitAddressOf(number, address)) continue;
        if (endpoint.state === EndpointState.READY) backends.push({ address, port: targetPort });
        if (local !== undefined) expose({ address, protocol, port: targetPort });
      }
      const key = `${protocol} ${publishedPort}`;
      if (!ports.has(key)) ports.set(key, { protocol, publishedPort, backends });
    }
  }
  const localTasks: string[] = [];
  for (const taskId of [...sandboxes.keys()].sort()) {
    const sandbox = sandboxes.get(taskId);
    if (sandbox?.gatewayAddress === undefined) continue;
    localTasks.push(sandbox.gatewayAddress);
    for (const { protocol: kind, publishedPort, targetPort } of sandbox.hostPorts) {
      const protocol = nftProtocol(kind);
      const backend = { address: sandbox.gatewayAddress, port: targetPort };
      ports.set(`${protocol} ${publishedPort}`, {
        protocol,
        publishedPort,
        backends: [backend],
        isNodeOnly: true,
      });
      expose({ ...backend, protocol });
    }
  }
  return {
    nodeNumber: identity.number,
    localAddress: identity.dataPathAddress,
    vxlanUdpPort: identity.vxlanUdpPort,
    peers,
    ports: sortedValues(ports),
    localTasks: localTasks.sort(),
    exposed: sortedValues(exposed),
  };
}

function sortedValues<T>(map: ReadonlyMap<string, T>): T[] {
  return [...map.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}
