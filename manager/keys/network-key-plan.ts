/**
 * When the key of encrypted networks is due, and what the cluster is with a new one.
 * Pure. Invariants: there is a key as soon as there is an encrypted network; a rotation keeps the key before,
 * because a node that no manager reaches goes on with it; generations count up.
 * Source: docs/design/network-encryption.md, "Rotation".
 */
import type { Cluster, Network } from "../../proto/gen/skein/v1/objects.js";
import { KEY_PERIOD_MS } from "./rotation-plan.js";

export const NETWORK_KEY_BYTES = 32;
/** The newest and the one before. */
export const NETWORK_KEYS_MAX = 2;
/** Sessions between nodes renew themselves within three minutes: oftener would change nothing. */
export const NETWORK_KEY_PERIOD_MIN_MS = 10 * 60_000;

/** @returns milliseconds until the next key; 0: now; undefined: none is needed. */
export function networkKeyDueInMs(
  cluster: Pick<Cluster, "networkKeys" | "spec">,
  { networks, nowMs }: { networks: readonly Network[]; nowMs: number },
): number | undefined {
  if (!networks.some(({ spec }) => spec?.encrypted === true)) return undefined;
  const newest = cluster.networkKeys[0];
  if (newest === undefined) return 0;
  // A clock that went back puts a rotation off by one period at most.
  const madeAtMs = Math.min(newest.madeAtMs, nowMs);
  return Math.max(0, madeAtMs + (cluster.spec?.networkKeyPeriodMs || KEY_PERIOD_MS) - nowMs);
}

/** The cluster with one more generation, whose key is given: NETWORK_KEY_BYTES random bytes. */
export function withNewNetworkKey(cluster: Cluster, key: Uint8Array, nowMs: number): Cluster {
  const generation = (cluster.networkKeys[0]?.generation ?? 0) + 1;
  const kept = cluster.networkKeys.slice(0, NETWORK_KEYS_MAX - 1);
  return { ...cluster, networkKeys: [{ generation, key, madeAtMs: nowMs }, ...kept] };
}
