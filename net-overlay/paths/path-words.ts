/**
 * Paths that are not well, in words.
 * Pure. Invariant: the same paths give the same words; few are told one by one, many together.
 */
import type { PathPeer } from "./path-peers.js";

/** Paths of one kind that are told one by one; more share a line. */
const TOLD_SINGLY_MAX = 3;

export interface PathState {
  readonly peer: PathPeer;
  /** As it was measured, of the inner packet; 0: not yet. */
  readonly mtuBytes: number;
  /** For so long that it counts. */
  readonly isSilent: boolean;
  /** Why whole segments do not get through although packets do; "": they do. */
  readonly fault: string;
}

export interface UnderlayFacts {
  readonly udpPort: number;
  /** The tunnel's, from the underlay's. */
  readonly fullBytes: number;
  readonly overheadBytes: number;
}

/** @returns key and words of each trouble. */
export function pathTroubles(paths: readonly PathState[], facts: UnderlayFacts): Map<string, string> {
  const { udpPort, fullBytes, overheadBytes } = facts;
  const silent = paths.filter(({ isSilent }) => isSilent);
  const small = paths.filter((path) => !path.isSilent && path.mtuBytes > 0 && path.mtuBytes < fullBytes);
  const troubles = new Map<string, string>();
  if (silent.length > TOLD_SINGLY_MAX) {
    const all =
      silent.length === paths.length ? `all ${silent.length}` : `${silent.length} of ${paths.length}`;
    const some = silent.slice(0, TOLD_SINGLY_MAX).map(({ peer }) => peer.hostname);
    troubles.set("silent", `udp ${udpPort} to ${all} nodes (${some.join(", ")}, …): nothing comes back`);
  } else {
    for (const { peer } of silent)
      troubles.set(`silent ${peer.number}`, `udp ${udpPort} to ${nameOf(peer)}: nothing comes back`);
  }
  const sizeOf = ({ mtuBytes }: PathState): number => mtuBytes + overheadBytes;
  if (small.length > TOLD_SINGLY_MAX) {
    const least = Math.min(...small.map(sizeOf));
    troubles.set("small", `packets above ${least} bytes to ${small.length} nodes vanish`);
  } else {
    for (const path of small)
      troubles.set(
        `small ${path.peer.number}`,
        `packets above ${sizeOf(path)} bytes to ${nameOf(path.peer)} vanish`,
      );
  }
  for (const { peer, fault } of paths)
    if (fault !== "") troubles.set(`fault ${peer.number}`, `${fault} to ${nameOf(peer)}`);
  return troubles;
}

function nameOf({ hostname, vtep }: PathPeer): string {
  return hostname === "" ? vtep : `${hostname} (${vtep})`;
}

/** The largest outer packet that passes on every path; 0: none was measured. */
export function pathMtuOf(paths: readonly PathState[], { overheadBytes }: UnderlayFacts): number {
  const sizes = paths.flatMap(({ mtuBytes }) => (mtuBytes > 0 ? [mtuBytes] : []));
  return sizes.length === 0 ? 0 : Math.min(...sizes) + overheadBytes;
}
