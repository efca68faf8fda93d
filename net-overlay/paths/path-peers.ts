/**
 * Whose path is looked at, and how often.
 * Pure. A small cluster looks at everybody; in a large one a node looks at those that traffic goes to: who
 * has a task on a network it knows or behind a published port; and at some others, so that a node without
 * tasks learns whether it would reach anybody. Invariant: however many there are, at most
 * `CHECKS_PER_SECOND` begin in a second on average.
 * Source: docs/design/network-paths.md.
 */
import type { NetworkState } from "../endpoints/network-state.js";
import { isPeerNumber } from "../vxlan/transit.js";

/** Up to so many others are all looked at. */
export const ALL_PEERS_MAX = 64;
/** In larger clusters: of those without traffic. */
export const SAMPLED_PEERS = 8;
export const CHECKS_PER_SECOND = 20;
/** Of a path, in a small cluster. */
export const PERIOD_MIN_MS = 4_000;

export interface PathPeer {
  readonly number: number;
  readonly hostname: string;
  readonly vtep: string;
}

/** @returns by number, in ascending order. */
export function peersToCheck(
  state: Pick<NetworkState, "peers" | "endpoints">,
  own: { nodeId: string; number: number },
): PathPeer[] {
  const present: PathPeer[] = [];
  const busy = new Set<string>();
  const isLarge = state.peers.size > ALL_PEERS_MAX;
  if (isLarge) for (const { nodeId } of state.endpoints.values()) busy.add(nodeId);
  const idle: PathPeer[] = [];
  for (const [nodeId, peer] of state.peers) {
    const { number, hostname, dataPathAddress: vtep, away } = peer;
    if (nodeId === own.nodeId || number === own.number || away) continue;
    if (!isPeerNumber(number) || vtep === "") continue;
    if (!isLarge || busy.has(nodeId)) present.push({ number, hostname, vtep });
    else idle.push({ number, hostname, vtep });
  }
  // The next ones by number: other nodes choose others.
  const byDistance = (peer: PathPeer): number => (peer.number - own.number + 0x1_0000) % 0x1_0000;
  idle.sort((a, b) => byDistance(a) - byDistance(b));
  return [...present, ...idle.slice(0, SAMPLED_PEERS)].sort((a, b) => a.number - b.number);
}

/** How long after one look the next begins; @param chance in [0, 1), so that nodes do not act in step. */
export function periodMs(peers: number, chance: number): number {
  const mean = Math.max(PERIOD_MIN_MS, (peers * 1_000) / CHECKS_PER_SECOND);
  return mean * (0.8 + 0.4 * chance);
}
