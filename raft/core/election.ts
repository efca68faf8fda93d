/**
 * Elections: campaigning with pre-vote, granting and counting votes, the leader lease.
 * Pure. Invariant: at most one leader per term,
 * because a voter grants one vote per term and it is synced first.
 * Source: Raft paper 5.2, 5.4.1; thesis 4.2.3 (disruptive servers), 9.6 (pre-vote), 3.10 (transfer).
 */
import { EntryKind } from "../log/make-entry.js";
import { voteResult } from "../quorum/majority.js";
import { type CoreState, isPromotable, send } from "./core-state.js";
import { afterGrantedVote } from "./election-hint.js";
import { holdsVote } from "./lease.js";
import { MessageKind } from "./message.js";
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from "./role.js";
import type { RaftMessage } from "./types.js";

/** Bytes read at a time when looking for conf changes that are committed but not applied. */
const CONF_SCAN_BYTES = 1024 * 1024;

/** `pre-vote`: ask first. `transfer`: the leader told us to take over, so voters shall not mind its lease. */
export function campaign(state: CoreState, mode: "pre-vote" | "transfer"): void {
  if (state.activity === "leader" || !isPromotable(state)) return;
  // A member that knows of a committed but unapplied change would count the wrong voters.
  if (hasUnappliedConfChange(state)) return;
  // To vote for oneself is to vote. Alone there is nobody to whom it was promised.
  if (mode === "pre-vote" && state.voters.length > 1 && holdsVote(state)) return;
  if (mode === "transfer") {
    runForLeader(state, { force: true });
    return;
  }
  becomePreCandidate(state);
  state.ballots.set(state.id, true);
  if (tally(state) === "won") runForLeader(state, { force: false });
  else requestVotes(state, MessageKind.PRE_VOTE, { term: state.term + 1, force: false });
}

/** A vote request of a term that is not behind ours. */
export function handleVoteRequest(state: CoreState, message: RaftMessage): void {
  if (!message.force && holdsVote(state)) return;
  const isPreVote = message.kind === MessageKind.PRE_VOTE;
  const response = isPreVote ? MessageKind.PRE_VOTE_RESPONSE : MessageKind.VOTE_RESPONSE;
  const mayVote =
    state.vote === message.from ||
    (state.vote === 0 && state.leader === 0) ||
    (isPreVote && message.term > state.term);
  // A learner answers, too: it may have been promoted without knowing yet.
  // Who counts is the candidate's business.
  if (!mayVote || !state.log.isUpToDate(message.index, message.logTerm)) {
    send(state, response, message.from, { reject: true });
    return;
  }
  send(state, response, message.from, { term: message.term });
  if (isPreVote) return;
  state.vote = message.from;
  state.electionElapsed = 0;
  afterGrantedVote(state);
}

export function handleVoteResponse(state: CoreState, message: RaftMessage): void {
  const isPreVote = message.kind === MessageKind.PRE_VOTE_RESPONSE;
  if (state.activity !== (isPreVote ? "pre-candidate" : "candidate")) return;
  // A grant for an earlier pre-vote, overtaken by our own term.
  if (isPreVote && !message.reject && message.term !== state.term + 1) return;
  if (!state.ballots.has(message.from)) state.ballots.set(message.from, !message.reject);
  const result = tally(state);
  if (result === "lost") becomeFollower(state, state.term, 0);
  else if (result === "won" && isPreVote) runForLeader(state, { force: false });
  else if (result === "won") becomeLeader(state);
}

/**
 * A member that heard from a leader within the minimum election timeout takes part in no election, so that a
 * partitioned or removed member cannot disturb a working cluster (thesis 4.2.3).
 */
export function isLeaseHeld(state: CoreState): boolean {
  return state.leader !== 0 && state.electionElapsed < state.limits.electionTicks && state.hint === undefined;
}

function runForLeader(state: CoreState, { force }: { force: boolean }): void {
  becomeCandidate(state);
  state.ballots.set(state.id, true);
  if (tally(state) === "won") becomeLeader(state);
  else requestVotes(state, MessageKind.VOTE, { term: state.term, force });
}

function requestVotes(state: CoreState, kind: MessageKind, ask: { term: number; force: boolean }): void {
  for (const voter of state.voters) {
    if (voter === state.id) continue;
    send(state, kind, voter, { ...ask, index: state.log.lastIndex, logTerm: state.log.lastTerm });
  }
}

function tally(state: CoreState) {
  return voteResult(state.voters, (voter) => state.ballots.get(voter));
}

function hasUnappliedConfChange(state: CoreState): boolean {
  const { log } = state;
  let low = log.appliedIndex + 1;
  while (low <= log.commitIndex) {
    const entries = log.slice(low, log.commitIndex + 1, CONF_SCAN_BYTES);
    if (entries.some((entry) => entry.kind === EntryKind.CONF_CHANGE)) return true;
    if (entries.length === 0) return false;
    low += entries.length;
  }
  return false;
}
