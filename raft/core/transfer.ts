/**
 * Leadership transfer: bring a voter up to date, then tell it to campaign at once.
 * Pure. Invariant: while it runs nothing is proposed, and it ends within one election timeout.
 * Source: thesis 3.10.
 */
import { FailedPreconditionError, NotLeaderError } from "../../base/errors/errors.js";
import type { Progress } from "../tracker/progress.js";
import { type CoreState, isVoter, send } from "./core-state.js";
import { leaderAddressOf } from "./leader-address.js";
import { forfeitLease } from "./lease.js";
import { MessageKind } from "./message.js";
import type { RaftId } from "./types.js";

/** @throws {NotLeaderError} {FailedPreconditionError} the target is no voter. */
export function startTransfer(state: CoreState, to: RaftId): void {
  if (state.activity !== "leader") {
    throw new NotLeaderError("transfer leadership: not the leader", {
      leaderAddress: leaderAddressOf(state),
    });
  }
  const peer = state.progress.get(to);
  if (peer === undefined || !isVoter(state, to)) {
    throw new FailedPreconditionError(`transfer leadership: member ${to} is not a voter`);
  }
  if (to === state.id) {
    state.transferee = 0;
    return;
  }
  if (state.transferee === to) return;
  forfeitLease(state); // the target's votes will be given in spite of it
  state.transferee = to;
  state.electionElapsed = 0; // it has one election timeout from now
  if (!continueTransfer(state, peer)) {
    peer.appendOwed = true;
    state.replicationDue = true;
  }
}

/** @returns whether the peer was told to campaign: it is the target and has the whole log. */
export function continueTransfer(state: CoreState, peer: Progress): boolean {
  if (peer.raftId !== state.transferee || peer.match !== state.log.lastIndex) return false;
  send(state, MessageKind.TIMEOUT_NOW, peer.raftId);
  return true;
}
