/**
 * Linearizable reads without writing to the log: one round of heartbeats confirms many reads.
 * Pure. Invariant: a read is answered with a commit index taken after it was asked,
 * by a leader that proved after that moment that it still leads. Source: thesis 6.4 (ReadIndex);
 * Raft paper 8.
 */
import { ResourceExhaustedError, UnavailableError } from "../../base/errors/errors.js";
import { voteResult } from "../quorum/majority.js";
import { type CoreState, hasCommittedInOwnTerm, type ReadRequest, send } from "./core-state.js";
import { hasLease } from "./lease.js";
import { MessageKind } from "./message.js";
import { sendHeartbeats } from "./replication.js";
import type { RaftId, RaftMessage } from "./types.js";

/**
 * Reads that wait on the leader for a round. Beyond it own ones are refused;
 * followers' are dropped and retried.
 */
export const READS_PENDING_MAX = 16_384;

/** @throws {UnavailableError} no leader known. {ResourceExhaustedError} too many reads wait. */
export function requestRead(state: CoreState, context: number): void {
  if (state.activity === "leader") {
    if (state.readQueue.length >= READS_PENDING_MAX) {
      throw new ResourceExhaustedError(`read index: ${READS_PENDING_MAX} reads already wait`);
    }
    state.readQueue.push({ from: state.id, context });
    return;
  }
  if (state.leader === 0) throw new UnavailableError("read index: no leader is known");
  send(state, MessageKind.READ_INDEX, state.leader, { context });
}

/** A follower asks. What cannot be served is dropped: the asker tries again. */
export function handleReadIndex(state: CoreState, message: RaftMessage): void {
  if (state.activity !== "leader" || state.readQueue.length >= READS_PENDING_MAX) return;
  state.readQueue.push({ from: message.from, context: message.context });
}

export function handleReadIndexResponse(state: CoreState, message: RaftMessage): void {
  state.readStates.push({ context: message.context, index: message.index });
}

/**
 * Answers all that waits at once when nobody else can lead, or starts a round for it, unless one runs.
 * A leader that has committed nothing in its term does not know yet what is committed (thesis 6.4, step 1).
 */
export function startReadRound(state: CoreState): void {
  if (state.readQueue.length === 0 || !hasCommittedInOwnTerm(state)) return;
  const index = state.log.commitIndex;
  const isAlone = state.voters.length === 1 && state.voters[0] === state.id;
  if (isAlone || hasLease(state)) {
    answer(state, state.readQueue, index);
    state.readQueue = [];
    return;
  }
  if (state.readRound !== undefined) return;
  const requests = state.readQueue;
  state.readQueue = [];
  state.lastReadRound += 1;
  state.readRound = { id: state.lastReadRound, index, requests, acks: new Set([state.id]) };
  sendHeartbeats(state);
}

/** A peer answered a heartbeat of the round, or a later one: it had not left us when the round began. */
export function acknowledgeReadRound(state: CoreState, from: RaftId, context: number): void {
  const round = state.readRound;
  if (round === undefined || context < round.id) return;
  round.acks.add(from);
  endReadRoundIfWon(state);
}

/** Also called when the voters change. */
export function endReadRoundIfWon(state: CoreState): void {
  const round = state.readRound;
  if (round === undefined) return;
  if (voteResult(state.voters, (voter) => round.acks.has(voter) || undefined) !== "won") return;
  state.readRound = undefined;
  answer(state, round.requests, round.index);
}

function answer(state: CoreState, requests: readonly ReadRequest[], index: number): void {
  for (const { from, context } of requests) {
    if (from === state.id) state.readStates.push({ context, index });
    else send(state, MessageKind.READ_INDEX_RESPONSE, from, { context, index });
  }
}
