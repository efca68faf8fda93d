/**
 * When the cluster's keys are due for a new epoch. Pure. The clock of a new leader may differ from the last
 * one's: an instant that lies ahead counts as now, so that no jump puts a rotation off by more than one
 * period.
 */
import type { Cluster } from "../../proto/gen/skein/v1/objects.js";

/**
 * As often as SwarmKit renews the keys of its networks. A rotation reads and writes the state once on each
 * manager: for 500 MB some 20 s of background work a day.
 */
export const KEY_PERIOD_MS = 12 * 3_600_000;

type KeyRotation = Pick<Cluster, "dataKeyEpoch" | "dataKeyRotatedAtMs">;

/** @returns milliseconds until the next rotation; 0: now. */
export function rotationDueInMs(cluster: KeyRotation, nowMs: number, periodMs: number): number {
  if (cluster.dataKeyEpoch === 0) return 0;
  return Math.max(0, Math.min(cluster.dataKeyRotatedAtMs, nowMs) + periodMs - nowMs);
}

/** The cluster with a new epoch; every manager makes a data key of its own when it sees it. */
export function withNewKeyEpoch(cluster: Cluster, nowMs: number): Cluster {
  return { ...cluster, dataKeyEpoch: cluster.dataKeyEpoch + 1, dataKeyRotatedAtMs: nowMs };
}
