/**
 * Bugs that can be planted into a simulated cluster, and what must notice them. Pure.
 */
export const CLUSTER_BUGS = ["stop-ignored", "status-lost"] as const;
export type ClusterBug = (typeof CLUSTER_BUGS)[number];

export interface ClusterBugCase {
  readonly what: string;
  /** Within so many seeds. */
  readonly seeds: number;
  readonly noticedBy: readonly string[];
}

export const CLUSTER_BUG_CASES: Readonly<Record<ClusterBug, ClusterBugCase>> = {
  "stop-ignored": {
    what: "a container says that it was stopped and goes on",
    seeds: 20,
    noticedBy: ["one task per slot", "desired state is reached"],
  },
  "status-lost": {
    what: "the leader says that statuses are committed, and forgets some of them",
    seeds: 20,
    noticedBy: ["desired state is reached", "one task per slot"],
  },
};
