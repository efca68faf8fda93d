/**
 * Who this node is to the network: its number and its address for traffic between nodes.
 * Pure. Invariant: the same object while nothing changed,
 * so that the network is configured again only when it must be.
 */
import { isDeepStrictEqual } from "node:util";
import type { NodeNetworkIdentity } from "../../net-overlay/network-plane.js";
import type { NodeResource } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";

/** IANA's VXLAN port: while a node knows neither peers nor networks, nobody could send to another one. */
const VXLAN_UDP_PORT = 4789;

/** @returns `current` while nothing changed; undefined until the cluster has given this node its number. */
export function networkIdentity(
  node: Node | undefined,
  resources: readonly NodeResource[],
  current: NodeNetworkIdentity | undefined,
): NodeNetworkIdentity | undefined {
  if (node === undefined || node.number === 0) return current;
  const next: NodeNetworkIdentity = {
    nodeId: node.id,
    number: node.number,
    dataPathAddress: node.description?.dataPathAddress || node.status?.address || "",
    vxlanUdpPort: vxlanUdpPort(resources),
  };
  return isDeepStrictEqual(current, next) ? current : next;
}

function vxlanUdpPort(resources: readonly NodeResource[]): number {
  for (const { resource } of resources) {
    if (resource?.$case !== "network" && resource?.$case !== "peer") continue;
    if (resource.value.vxlanUdpPort > 0) return resource.value.vxlanUdpPort;
  }
  return VXLAN_UDP_PORT;
}
