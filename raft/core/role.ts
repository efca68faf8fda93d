/**
 * The changes of role: follower, candidate, leader. What each forgets and what each starts with.
 * Pure. Invariant: a term never decreases, and within a term the vote is never taken back.
 * Source: Raft paper 5.1, 5.2; thesis 9.6 (pre-vote changes neither term nor vote).
 *
 *   follower ──timeout, hint──▶ pre-candidate ──majority would vote──▶ candidate ──majority voted──▶ leader
 *      ▲            TIMEOUT_NOW ────────────────────────────────────────▲                              │
 *      └── higher term; the term's leader speaks; a majority refuses; (leader) no majority heard ◀─────┘
 */
import { invariant } from "../../base/errors/invariant.js";
import { makeEntry } from "../log/make-entry.js";
import { type CoreState, drawElectionTimeout, makeProgress } from "./core-state.js";
import { beginLease } from "./lease.js";
import type { RaftId } from "./types.js";

export function becomeFollower(state: CoreState, term: number, leader: RaftId): void {
  invariant(term >= state.term, `term ${term} after ${state.term}`);
  reset(state, term);
  state.activity = "follower";
  state.leader = leader;
}

export function becomePreCandidate(state: CoreState): void {
  reset(state, state.term);
  state.activity = "pre-candidate";
}

export function becomeCandidate(state: CoreState): void {
  reset(state, state.term + 1);
  state.activity = "candidate";
  state.vote = state.id;
}

/** Starts the term with an empty entry, whose commit also commits what earlier terms left (Raft paper 8). */
export function becomeLeader(state: CoreState): void {
  reset(state, state.term);
  state.activity = "leader";
  state.leader = state.id;
  state.hint = undefined;
  beginLease(state);
  // Whatever conf change may be in the tail counts as pending; asking its exact place would cost a scan.
  state.pendingConfIndex = state.log.lastIndex;
  const members = [...state.membership.members].sort((a, b) => a.raftId - b.raftId);
  for (const member of members) {
    state.progress.set(member.raftId, makeProgress(state, member.raftId, member.learner));
  }
  noteOwnProgress(state);
  state.log.append([makeEntry({ term: state.term, index: state.log.lastIndex + 1 }, new Uint8Array(0))]);
  state.replicationDue = true;
}

/** The leader counts for its own log only up to what the host has synced. */
export function noteOwnProgress(state: CoreState): void {
  const own = state.progress.get(state.id);
  if (own === undefined) return;
  own.acknowledge(state.log.stableIndex);
  own.recentlyActive = true;
  own.state = "replicate";
}

function reset(state: CoreState, term: number): void {
  if (term !== state.term) {
    state.term = term;
    state.vote = 0;
  }
  state.leader = 0;
  state.electionElapsed = 0;
  state.heartbeatElapsed = 0;
  drawElectionTimeout(state);
  state.ballots.clear();
  state.progress = new Map();
  state.replicationDue = false;
  state.transferee = 0;
  state.pendingConfIndex = 0;
  state.uncommitted = [];
  state.uncommittedBytes = 0;
  state.readQueue = [];
  state.readRound = undefined;
  state.lastReadRound = 0;
}
