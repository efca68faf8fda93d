/**
 * With whom this node speaks encrypted: the nodes that have a task on an encrypted network that is here, too.
 * Pure. Invariants: no key of the cluster enters a plan; a node whose public key or address is none is left
 * out, so that nothing is ever sent to it in the clear.
 * Source: docs/design/network-encryption.md.
 */
import type { NetworkState } from "../endpoints/network-state.js";
import { isAddress } from "../ipam/host-addresses.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { tunnelAddress } from "../vxlan/node-addresses.js";
import { isPeerNumber } from "../vxlan/transit.js";
import { parsePublicKey } from "./key-pair.js";
import type { WireguardEndpoint } from "./wireguard-codec.js";

/** Outer IPv4 or IPv6 header, UDP, WireGuard's header and tag: by how much less fits than in the underlay. */
export function wireguardOverheadBytes(underlay: 4 | 6): number {
  return (underlay === 4 ? 20 : 40) + 8 + 32;
}

/** The port nodes expect when nothing else was told: next to the data path's. */
export function wireguardUdpPort(vxlanUdpPort: number): number {
  return vxlanUdpPort + 1;
}

export interface EncryptedPeer {
  readonly nodeId: string;
  readonly hostname: string;
  readonly publicKey: Uint8Array;
  readonly endpoint: WireguardEndpoint;
  /** Where its tunnels end inside of WireGuard. */
  readonly insideAddress: string;
}

export interface EncryptionPlan {
  readonly nodeId: string;
  /** Where this node's tunnels end inside of WireGuard. */
  readonly insideAddress: string;
  readonly udpPort: number;
  readonly dataPathAddress: string;
  /** By node id, sorted. */
  readonly peers: ReadonlyMap<string, EncryptedPeer>;
  /** Names of nodes on our encrypted networks that cannot take part, sorted. */
  readonly unable: readonly string[];
}

/** @param options.networkIds the encrypted networks that this node takes part in. */
export function planEncryption(
  state: NetworkState,
  { identity, networkIds }: { identity: NodeNetworkIdentity; networkIds: readonly string[] },
): EncryptionPlan {
  const nodeIds = new Set(networkIds.flatMap((id) => [...state.nodesOf(id)]));
  nodeIds.delete(identity.nodeId);
  const peers = new Map<string, EncryptedPeer>();
  const unable: string[] = [];
  for (const nodeId of [...nodeIds].sort()) {
    const peer = state.peers.get(nodeId);
    if (peer === undefined) continue; // gone, or told in a moment
    const publicKey = parsePublicKey(peer.wireguardPublicKey);
    if (publicKey === undefined || !isPeerNumber(peer.number) || !isAddress(peer.dataPathAddress)) {
      unable.push(peer.hostname || nodeId);
      continue;
    }
    const port = peer.wireguardUdpPort || wireguardUdpPort(peer.vxlanUdpPort);
    peers.set(nodeId, {
      nodeId,
      hostname: peer.hostname,
      publicKey,
      endpoint: { address: peer.dataPathAddress, port },
      insideAddress: tunnelAddress(peer.number),
    });
  }
  return {
    nodeId: identity.nodeId,
    insideAddress: tunnelAddress(identity.number),
    udpPort: wireguardUdpPort(identity.vxlanUdpPort),
    dataPathAddress: identity.dataPathAddress,
    peers,
    unable: unable.sort(),
  };
}
