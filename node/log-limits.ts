/**
 * The cluster's settings of the Raft log, followed by this manager: how many entries until a compaction, how
 * many are left for followers that lag. Pure over the store and the Raft member.
 * Old snapshots are not kept: there is one materialised state, and backups are made on purpose.
 */
import type { Store } from "../manager/store/types.js";
import type { RaftNode } from "../raft/host/raft-node.js";

const DEFAULTS = { snapshotInterval: 10_000, entriesKept: 500 } as const;
/** Outside of these a manager would compact all the time, or hold more than its memory. */
const INTERVAL = { min: 100, max: 1_000_000 } as const;
const KEPT_MAX = 100_000;

/** What is done for what was asked; 0: Docker's defaults. */
export function logLimits(spec: {
  readonly snapshotInterval: number;
  readonly logEntriesForSlowFollowers: number;
}): { readonly snapshotInterval: number; readonly entriesKept: number } {
  const interval = spec.snapshotInterval || DEFAULTS.snapshotInterval;
  return {
    snapshotInterval: Math.min(Math.max(interval, INTERVAL.min), INTERVAL.max),
    entriesKept: Math.min(spec.logEntriesForSlowFollowers || DEFAULTS.entriesKept, KEPT_MAX),
  };
}

/** @returns what stops following. */
export function followLogLimits(store: Store, raft: Pick<RaftNode, "setLogLimits">): () => void {
  const follow = (): void => {
    watch.take();
    const spec = store.view((tx) => tx.list("cluster")[0])?.spec;
    if (spec !== undefined) raft.setLogLimits(logLimits(spec));
  };
  const watch = store.watch({ tables: ["cluster"], wake: follow });
  follow();
  return () => watch.close();
}
