/**
 * Makes a cluster of one out of what a survivor of a lost quorum holds: everybody else is removed.
 * Pure over the log: works on opened storage, before the host starts.
 * Invariants: nothing the survivor holds is dropped, committed or not, because the lost majority may
 * have acknowledged it; whoever is removed never returns under its old id; it is one append to the log,
 * so that a crash leaves the old cluster or the new one. Repeating it changes nothing but the term.
 * Source: Raft paper 5.4 (what is given up here, and why it needs an operator); thesis 4.1 on removal.
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import { changedMembership } from "../core/membership.js";
import type { ConfChange, Entry, HardState, Membership, RaftId, RaftMember } from "../core/types.js";
import { decodeConfChange, encodeConfChange } from "../log/conf-change-codec.js";
import { EntryKind, makeEntry } from "../log/make-entry.js";
import type { StableLog } from "../storage/stable-log.js";

/** What the survivor had, and whom it goes on without. */
export interface ForcedCluster {
  /** Of the survivor's log as it was found. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** What the survivor knew to be committed; entries after it may or may not have been acknowledged. */
  readonly commitIndex: number;
  /** The survivor's vote never counted: it had not caught up when the quorum was lost. */
  readonly wasLearner: boolean;
  readonly dropped: readonly RaftMember[];
}

export interface Survivor {
  readonly raftId: RaftId;
  /** host:port at which it is reached from now on. */
  readonly address: string;
}

interface ForcedPlan {
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
  readonly account: ForcedCluster;
}

/** As the whole log says, also the part not known to be committed. */
function membershipAtEnd(log: StableLog): Membership {
  const from = Math.max(log.snapshotMeta().index + 1, log.firstIndex());
  const entries = log.entries(from, log.lastIndex() + 1, Number.POSITIVE_INFINITY);
  return entries
    .filter(({ kind }) => kind === EntryKind.CONF_CHANGE)
    .reduce((membership, { data }) => changedMembership(membership, decodeConfChange(data)), {
      ...log.initialState().membership,
    });
}

/**
 * @throws {FailedPreconditionError} there is nothing to go on with: the survivor has not received the
 * cluster's state, or was itself removed.
 */
function planForcedCluster(log: StableLog, survivor: Survivor): ForcedPlan {
  const { hardState } = log.initialState();
  const { members, removed } = membershipAtEnd(log);
  const self = members.find(({ raftId }) => raftId === survivor.raftId);
  const lastIndex = log.lastIndex();
  if (removed.includes(survivor.raftId)) {
    throw new FailedPreconditionError(
      "force a new cluster: this manager was removed from the cluster: recover from another manager, " +
        "or from a backup",
    );
  }
  if (lastIndex === 0 || self === undefined) {
    throw new FailedPreconditionError(
      "force a new cluster: this manager has not received the cluster's state: recover from another manager, " +
        "or from a backup",
    );
  }
  const lastTerm = log.term(lastIndex) ?? log.snapshotMeta().term;
  const term = Math.max(hardState.term, lastTerm) + 1;
  const dropped = members.filter(({ raftId }) => raftId !== survivor.raftId);
  const changes: ConfChange[] = dropped.map((member) => change(ConfChangeKind.REMOVE, member));
  if (self.address !== survivor.address)
    changes.unshift(change(ConfChangeKind.UPDATE_ADDRESS, { ...self, address: survivor.address }));
  if (self.learner) changes.unshift(change(ConfChangeKind.PROMOTE, self));
  const entries = changes.map((each, at) =>
    makeEntry({ term, index: lastIndex + 1 + at }, encodeConfChange(each), EntryKind.CONF_CHANGE),
  );
  return {
    entries,
    hardState: { term, vote: survivor.raftId, commit: lastIndex + entries.length },
    account: { lastIndex, lastTerm, commitIndex: hardState.commit, wasLearner: self.learner, dropped },
  };
}

/** @throws as the plan does; what the log throws when its disk fails. */
export async function forceNewCluster(log: StableLog, survivor: Survivor): Promise<ForcedCluster> {
  const { entries, hardState, account } = planForcedCluster(log, survivor);
  await log.found(entries, hardState);
  return account;
}

function change(kind: ConfChangeKind, member: RaftMember): ConfChange {
  return { kind, member, context: new Uint8Array(0) };
}
