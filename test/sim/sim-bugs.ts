/**
 * Bugs that can be planted, where each is planted, and within how many seeds the checkers must notice it.
 * Pure. A bug that no checker notices would mean that the simulator proves nothing about that rule.
 */

import type { Property } from "./sim-checker.js";
import type { ProfileName } from "./sim-profiles.js";

export const PLANTED_BUGS = [
  "ack-before-sync",
  "forget-vote",
  "commit-old-term",
  "read-without-round",
  "vote-for-anyone",
  "learner-counted",
  "two-changes-at-once",
  "change-before-own-commit",
  "return-under-old-id",
  "removed-heard",
  "recovery-truncates",
  "snapshot-forgets-removed",
  "snapshot-ahead",
  "uncommitted-unbounded",
  "mismatch-called-set",
  "lease-by-ticks",
  "lease-too-long",
  "hint-frees-vote",
  "disk-lies",
  "tail-forgotten",
  "state-sync-lies",
  "strangers-unanswered",
] as const;

export type PlantedBug = (typeof PLANTED_BUGS)[number];
export type WorldName = "core" | "host";

export interface BugCase {
  /** What is broken. */
  readonly what: string;
  readonly world: WorldName;
  readonly profile: ProfileName;
  /** It must be noticed within so many seeds from 1 on. */
  readonly seeds: number;
  /**
   * Which promise may be the first to break; "invariant": an assertion of the core itself; "recovery": a
   * restart that finds its disk damaged.
   */
  readonly noticedBy: readonly (Property | "invariant" | "liveness" | "recovery")[];
}

/** The seeds that each needed when this was written stand in docs/design/simulator.md. */
export const BUG_CASES: Readonly<Record<PlantedBug, BugCase>> = {
  "ack-before-sync": {
    what: "the host sends and advances before its disk has synced",
    world: "core",
    profile: "mixed",
    seeds: 100,
    noticedBy: ["leader completeness", "durability", "invariant"],
  },
  "forget-vote": {
    what: "the vote is not written, so that a restarted member votes twice in a term",
    world: "core",
    profile: "restart-storm",
    seeds: 300,
    noticedBy: ["election safety", "invariant"],
  },
  "commit-old-term": {
    what: "entries of earlier terms are committed by counting (Raft paper, figure 8)",
    world: "core",
    profile: "leader-hunt",
    seeds: 200,
    noticedBy: ["leader completeness", "invariant"],
  },
  "read-without-round": {
    what: "the leader answers reads at once, without proving that it still leads",
    world: "core",
    profile: "mixed",
    seeds: 50,
    noticedBy: ["linearizable reads"],
  },
  "vote-for-anyone": {
    what: "votes are granted to candidates whose log is behind",
    world: "core",
    profile: "mixed",
    seeds: 50,
    noticedBy: ["leader completeness", "invariant"],
  },
  "learner-counted": {
    what: "an acknowledgement of a learner counts towards the majority",
    world: "core",
    profile: "membership",
    seeds: 300,
    noticedBy: ["leader completeness", "invariant", "liveness"],
  },
  "two-changes-at-once": {
    what: "a membership change may be proposed while another is under way",
    world: "core",
    profile: "membership",
    seeds: 200,
    noticedBy: ["leader completeness", "election safety", "invariant", "liveness"],
  },
  "change-before-own-commit": {
    what: "a new leader changes the membership before it has committed anything in its term",
    world: "core",
    profile: "membership",
    seeds: 100,
    noticedBy: ["leader completeness", "election safety", "invariant", "liveness"],
  },
  "return-under-old-id": {
    what: "a removed member may join again under its old id",
    world: "core",
    profile: "membership",
    seeds: 50,
    noticedBy: ["removed stay out"],
  },
  "removed-heard": {
    what: "messages of removed members are heeded",
    world: "core",
    profile: "membership",
    seeds: 50,
    noticedBy: ["removed stay out"],
  },
  "recovery-truncates": {
    what: "a restart takes the last synced entries for torn ones and drops them",
    world: "core",
    profile: "restart-storm",
    seeds: 50,
    noticedBy: ["leader completeness", "durability", "invariant"],
  },
  "snapshot-forgets-removed": {
    what: "a snapshot does not carry the list of removed members",
    world: "core",
    profile: "membership",
    seeds: 50,
    noticedBy: ["membership agreement", "removed stay out"],
  },
  "snapshot-ahead": {
    what: "a snapshot holds an entry more than it says, which is then applied twice",
    world: "core",
    profile: "mixed",
    seeds: 50,
    noticedBy: ["state machine safety"],
  },
  "uncommitted-unbounded": {
    what: "the bound on uncommitted bytes is ignored",
    world: "core",
    profile: "leader-hunt",
    seeds: 50,
    noticedBy: ["bounded memory"],
  },
  "mismatch-called-set": {
    what: "a client is told that its compare-and-set was done when it was not",
    world: "core",
    profile: "mixed",
    seeds: 50,
    noticedBy: ["linearizability"],
  },
  "lease-by-ticks": {
    what: "a lease is measured by ticks, which stand still with the process",
    world: "core",
    profile: "clocks",
    seeds: 300,
    noticedBy: ["linearizable reads", "linearizability"],
  },
  "lease-too-long": {
    what: "a lease may outlast the promises it rests on, as without a margin for drift",
    world: "core",
    profile: "clocks",
    seeds: 300,
    noticedBy: ["linearizable reads", "linearizability"],
  },
  "hint-frees-vote": {
    what: "news of a broken connection free a vote that was promised to a lease",
    world: "core",
    profile: "clocks",
    seeds: 300,
    noticedBy: ["linearizable reads", "linearizability"],
  },
  "disk-lies": {
    what: "writes of the log are called durable while they are under way",
    world: "host",
    profile: "restart-storm",
    seeds: 200,
    noticedBy: [
      "leader completeness",
      "durability",
      "election safety",
      "log matching",
      "invariant",
      "recovery",
    ],
  },
  "tail-forgotten": {
    what: "the end of the log that was synced is not there after a restart",
    world: "host",
    profile: "disks",
    seeds: 50,
    noticedBy: ["leader completeness", "durability", "election safety", "invariant", "recovery"],
  },
  "state-sync-lies": {
    what: "the log is compacted before the state it was folded into is synced",
    world: "host",
    profile: "disks",
    seeds: 50,
    noticedBy: ["recovery"],
  },
  "strangers-unanswered": {
    what: "a member that was away does not answer a leader that joined meanwhile",
    world: "host",
    profile: "membership",
    seeds: 200,
    noticedBy: ["liveness"],
  },
};
