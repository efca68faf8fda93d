/**
 * Listeners of this node for published ports whose tasks are told the client by the PROXY protocol.
 * Pure (interface and choice only). The implementation: linux-port-relays.ts.
 * Source: docs/design/network-proxy.md.
 */
import { BalancePolicy, PortProtocol, PublishMode, SourceMode } from "../../proto/gen/skein/v1/types.js";
import type { MeshBackend, MeshPort } from "../endpoints/mesh-plan.js";
import type { NetworkState } from "../endpoints/network-state.js";
import type { NodeNetworkIdentity } from "../network-plane.js";
import { isTransitAddressOf } from "../vxlan/transit.js";

export interface RelayedPort {
  readonly publishedPort: number;
  /** Of a connection on which nothing passes; undefined: for ever. */
  readonly idleTimeoutMs: number | undefined;
}

export interface PortRelays {
  /**
   * Listens for these ports and for no others; connections that are there go on.
   * @returns where, by port ("80/tcp"); what cannot be listened for is left out.
   */
  listen(identity: NodeNetworkIdentity, ports: readonly RelayedPort[]): ReadonlyMap<string, MeshBackend>;
  /** Where new connections go from now on. */
  aim(ports: readonly MeshPort[]): void;
  /** Ends everything. */
  close(): void;
}

/** The ports that need a relay on every node, in ascending order. */
export function relayedPorts(state: Pick<NetworkState, "services">): RelayedPort[] {
  const found = new Map<number, RelayedPort>();
  for (const { ports, idleTimeoutMs } of state.services.values()) {
    for (const { sourceMode, protocol, publishMode, publishedPort } of ports) {
      if (sourceMode !== SourceMode.PROXY || protocol !== PortProtocol.TCP) continue;
      if (publishMode !== PublishMode.INGRESS || publishedPort === 0) continue;
      found.set(publishedPort, { publishedPort, idleTimeoutMs });
    }
  }
  return [...found.values()].sort((a, b) => a.publishedPort - b.publishedPort);
}

/**
 * In which order a connection tries the tasks: as the mesh would choose, then the others.
 * @param options turn: how many connections came before.
 */
export function orderOfTargets(
  { backends, balance = BalancePolicy.ROUND_ROBIN }: Pick<MeshPort, "backends" | "balance">,
  options: { readonly turn: number; readonly client: string; readonly nodeNumber: number },
): MeshBackend[] {
  const { turn, client, nodeNumber } = options;
  const isHere = ({ address }: MeshBackend): boolean => isTransitAddressOf(nodeNumber, address);
  const isLocalFirst = balance === BalancePolicy.LOCAL_FIRST;
  const near = isLocalFirst ? backends.filter(isHere) : [];
  const far = isLocalFirst ? backends.filter((backend) => !isHere(backend)) : backends;
  const start = balance === BalancePolicy.SOURCE_HASH ? hashOf(client) : turn;
  return [...rotated(near, start), ...rotated(far, start)];
}

function rotated<T>(items: readonly T[], start: number): T[] {
  if (items.length === 0) return [];
  const at = start % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

/** FNV-1a: the same client gets the same task on every node. */
function hashOf(text: string): number {
  let hash = 0x811c_9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x0100_0193) >>> 0;
  return hash;
}
