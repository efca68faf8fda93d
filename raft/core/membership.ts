/**
 * Membership changes, one voter at a time: which may be proposed, and what each does when applied.
 * Pure. Applying is total and deterministic: a change that makes no sense any more does nothing,
 * on every member.
 * Invariant: neighbouring configurations differ by at most one voter, so their majorities overlap.
 * Source: thesis 4.1-4.3; the own-term rule from Ongaro's 2015 correction of single-server changes.
 */
import { FailedPreconditionError, InvalidArgumentError, NotLeaderError } from "../../base/errors/errors.js";
import { assertNever } from "../../base/errors/invariant.js";
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import { encodeConfChange } from "../log/conf-change-codec.js";
import { EntryKind, makeEntry } from "../log/make-entry.js";
import { commitByCounting } from "./commit.js";
import { type CoreState, hasCommittedInOwnTerm, makeProgress, setMembership } from "./core-state.js";
import { leaderAddressOf } from "./leader-address.js";
import { endReadRoundIfWon } from "./reads.js";
import { oweAppendToAll } from "./replication.js";
import { becomeFollower } from "./role.js";
import type { ConfChange, Membership, RaftId, RaftMember } from "./types.js";

/** @throws {NotLeaderError} {InvalidArgumentError} {FailedPreconditionError} */
export function proposeConfChange(state: CoreState, change: ConfChange): { term: number; index: number } {
  if (state.activity !== "leader" || state.transferee !== 0) {
    throw new NotLeaderError("change the membership: not the leader", {
      leaderAddress: leaderAddressOf(state),
    });
  }
  if (!hasCommittedInOwnTerm(state)) {
    throw new FailedPreconditionError("change the membership: the new leader has committed nothing yet");
  }
  if (state.pendingConfIndex > state.log.appliedIndex) {
    throw new FailedPreconditionError(
      `change the membership: the change at index ${state.pendingConfIndex} is not applied yet`,
    );
  }
  const { member } = change;
  if (member === undefined || !Number.isSafeInteger(member.raftId) || member.raftId <= 0) {
    throw new InvalidArgumentError(
      `change the membership: raftId must be an integer > 0, got ${member?.raftId}`,
    );
  }
  const objection = objectionTo(state, change.kind, member.raftId);
  if (objection !== undefined) {
    throw new FailedPreconditionError(`change the membership: member ${member.raftId} ${objection}`);
  }
  const index = state.log.lastIndex + 1;
  state.log.append([makeEntry({ term: state.term, index }, encodeConfChange(change), EntryKind.CONF_CHANGE)]);
  state.pendingConfIndex = index;
  state.replicationDue = true;
  return { term: state.term, index };
}

/** Puts a committed change into force, here and, on the leader, in what it tracks. */
export function applyConfChange(state: CoreState, change: ConfChange): Membership {
  setMembership(state, changedMembership(state.membership, change));
  if (state.activity === "leader") adjustLeader(state);
  return state.membership;
}

/** The membership after a change; the same object when nothing changes. */
export function changedMembership(membership: Membership, change: ConfChange): Membership {
  const { member } = change;
  if (member === undefined || membership.removed.includes(member.raftId)) return membership;
  const present = membership.members.find((other) => other.raftId === member.raftId);
  switch (change.kind) {
    case ConfChangeKind.ADD_LEARNER:
      return present === undefined ? withMember(membership, { ...member, learner: true }) : membership;
    case ConfChangeKind.ADD_VOTER:
      return present === undefined ? withMember(membership, { ...member, learner: false }) : membership;
    case ConfChangeKind.PROMOTE:
      return present?.learner ? withMember(membership, { ...present, learner: false }) : membership;
    case ConfChangeKind.UPDATE_ADDRESS:
      return present ? withMember(membership, { ...present, address: member.address }) : membership;
    case ConfChangeKind.REMOVE:
      return {
        members: membership.members.filter((other) => other.raftId !== member.raftId),
        removed: [...membership.removed, member.raftId].sort((a, b) => a - b),
      };
    case ConfChangeKind.UNRECOGNIZED:
      return membership;
    default:
      return assertNever(change.kind, "conf change kind");
  }
}

function withMember(membership: Membership, member: RaftMember): Membership {
  const others = membership.members.filter((other) => other.raftId !== member.raftId);
  return { ...membership, members: [...others, member].sort((a, b) => a.raftId - b.raftId) };
}

function adjustLeader(state: CoreState): void {
  if (!state.membership.members.some((member) => member.raftId === state.id)) {
    // The entry that removed us is committed and its commit was announced: the others go on (thesis 4.2.2).
    becomeFollower(state, state.term, 0);
    return;
  }
  const before = state.progress;
  state.progress = new Map();
  for (const { raftId, learner } of state.membership.members) {
    const peer = before.get(raftId) ?? makeProgress(state, raftId, learner);
    // A newcomer is given one check-quorum round to answer before it counts as silent.
    if (!before.has(raftId)) peer.recentlyActive = true;
    peer.learner = learner;
    state.progress.set(raftId, peer);
  }
  if (state.transferee !== 0 && !state.voters.includes(state.transferee)) state.transferee = 0;
  commitByCounting(state);
  oweAppendToAll(state);
  endReadRoundIfWon(state);
}

/** Why a change makes no sense now, or undefined when it does. */
function objectionTo(state: CoreState, kind: ConfChangeKind, raftId: RaftId): string | undefined {
  if (state.removed.has(raftId)) return "was removed and may not return under its old id";
  const present = state.membership.members.find((other) => other.raftId === raftId);
  if (kind === ConfChangeKind.ADD_LEARNER) return present === undefined ? undefined : "is a member already";
  if (kind === ConfChangeKind.ADD_VOTER) return "must join as a learner; only a founder begins as a voter";
  if (kind === ConfChangeKind.UNRECOGNIZED) return "is the object of an unknown kind of change";
  if (present === undefined) return "is not a member";
  if (kind === ConfChangeKind.PROMOTE && !present.learner) return "is a voter already";
  if (kind === ConfChangeKind.REMOVE && !present.learner) {
    if (state.voters.length === 1) return "is the last voter";
    // It would step down as soon as it knows of the commit. If that news is lost,
    // the other voter still counts two.
    if (state.voters.length === 2 && raftId === state.id) {
      return "leads one other voter: transfer the leadership first";
    }
  }
  return undefined;
}
