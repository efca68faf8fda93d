/**
 * The Raft state machine: one input in, a Ready out.
 * This file only directs each input to the function that knows it.
 * Pure: no socket, no disk, no clock. Invariants: Raft paper figure 3, each asserted where it could break.
 * Source: Raft paper (extended version), Ongaro's thesis;
 * the step/ready/advance shape follows etcd-io/raft's idea.
 *
 * The host's duties are listed at `Ready` in types.ts.
 * Inputs may be given while a Ready is being carried out: what they cause is part of the next one.
 */
import { NotLeaderError } from "../../base/errors/errors.js";
import { entryBytes } from "../log/entry-bytes.js";
import { makeEntry } from "../log/make-entry.js";
import { voteResult } from "../quorum/majority.js";
import { reserveUncommitted } from "./commit.js";
import { type CoreState, createCoreState, roleOf, send } from "./core-state.js";
import { campaign, handleVoteRequest, handleVoteResponse, isLeaseHeld } from "./election.js";
import { noteConnectionLost, tickHint } from "./election-hint.js";
import { handleAppend, handleHeartbeat, handleSnapshot, hearLeader } from "./following.js";
import { leaderAddressOf } from "./leader-address.js";
import { forfeitLease, holdsVote, notePromise } from "./lease.js";
import { applyConfChange, proposeConfChange } from "./membership.js";
import { isFromLeader, isVoteRequest, MessageKind } from "./message.js";
import { acknowledgeReadRound, handleReadIndex, handleReadIndexResponse, requestRead } from "./reads.js";
import { ReadyMaker } from "./ready.js";
import {
  handleAppendResponse,
  handleHeartbeatResponse,
  noteSnapshotEnded,
  noteUnreachable,
  sendHeartbeats,
} from "./replication.js";
import { becomeFollower } from "./role.js";
import { startTransfer } from "./transfer.js";
import type {
  ConfChange,
  CoreOptions,
  CoreStatus,
  Membership,
  RaftCoreApi,
  RaftId,
  RaftMessage,
  Ready,
} from "./types.js";

export class RaftCore implements RaftCoreApi {
  /** For tests that plant a fault; nobody else reaches around the methods. */
  protected readonly state: CoreState;
  readonly #ready: ReadyMaker;

  /** @throws {DataLossError} when the stored log ends before what it says is committed. */
  constructor(options: CoreOptions) {
    this.state = createCoreState(options);
    this.#ready = new ReadyMaker(this.state, options.storage.initialState().hardState);
  }

  tick(): void {
    const { state } = this;
    state.electionElapsed += 1;
    if (state.activity === "leader") {
      this.#tickLeader();
    } else if (tickHint(state) || state.electionElapsed >= state.electionTimeout) {
      campaign(state, "pre-vote");
    }
  }

  step(message: RaftMessage): void {
    const { state } = this;
    if (message.to !== state.id || state.removed.has(message.from)) return;
    if (message.term > state.term && !this.#enterTerm(message)) return;
    if (message.term < state.term) {
      answerStale(state, message);
      return;
    }
    this.#dispatch(message);
  }

  propose(data: readonly Uint8Array[]): { readonly term: number; readonly firstIndex: number } {
    const { state } = this;
    if (state.activity !== "leader" || state.transferee !== 0) {
      throw new NotLeaderError("propose: not the leader", { leaderAddress: leaderAddressOf(state) });
    }
    const firstIndex = state.log.lastIndex + 1;
    const entries = data.map((bytes, at) => makeEntry({ term: state.term, index: firstIndex + at }, bytes));
    if (entries.length > 0) {
      const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
      reserveUncommitted(state, firstIndex + entries.length - 1, bytes);
      state.log.append(entries);
      state.replicationDue = true;
    }
    return { term: state.term, firstIndex };
  }

  proposeConfChange(change: ConfChange): { readonly term: number; readonly index: number } {
    return proposeConfChange(this.state, change);
  }

  applyConfChange(change: ConfChange): Membership {
    return applyConfChange(this.state, change);
  }

  readIndex(context: number): void {
    requestRead(this.state, context);
  }

  transferLeadership(to: RaftId): void {
    startTransfer(this.state, to);
  }

  forfeitLease(): void {
    forfeitLease(this.state);
  }

  campaign(): void {
    campaign(this.state, "pre-vote");
  }

  connectionLost(peer: RaftId): void {
    if (noteConnectionLost(this.state, peer)) campaign(this.state, "pre-vote");
  }

  reportUnreachable(peer: RaftId): void {
    noteUnreachable(this.state, peer);
  }

  reportSnapshot(peer: RaftId, ok: boolean): void {
    noteSnapshotEnded(this.state, peer, ok);
  }

  hasReady(): boolean {
    return this.#ready.hasReady();
  }

  ready(): Ready {
    return this.#ready.take();
  }

  advance(): void {
    this.#ready.advance();
  }

  get leads(): boolean {
    return this.state.activity === "leader";
  }

  get leader(): RaftId {
    return this.state.leader;
  }

  status(): CoreStatus {
    const { state } = this;
    return {
      id: state.id,
      role: roleOf(state),
      term: state.term,
      leader: state.leader,
      commitIndex: state.log.commitIndex,
      appliedIndex: state.log.appliedIndex,
      lastIndex: state.log.lastIndex,
      membership: state.membership,
      isSettled: state.activity === "leader" && state.log.term(state.log.appliedIndex) === state.term,
      progress: [...state.progress.values()].map((peer) => peer.view()),
    };
  }

  /** @returns false when the message of a higher term is to be ignored. */
  #enterTerm(message: RaftMessage): boolean {
    const { state } = this;
    if (isVoteRequest(message.kind) && !message.force && (isLeaseHeld(state) || holdsVote(state)))
      return false;
    // Pre-vote talks about a term that nobody has entered yet.
    if (message.kind === MessageKind.PRE_VOTE) return this.#dispatchVote(message);
    if (message.kind === MessageKind.PRE_VOTE_RESPONSE && !message.reject) return this.#dispatchVote(message);
    becomeFollower(state, message.term, 0);
    return true;
  }

  #dispatchVote(message: RaftMessage): false {
    if (isVoteRequest(message.kind)) handleVoteRequest(this.state, message);
    else handleVoteResponse(this.state, message);
    return false;
  }

  #dispatch(message: RaftMessage): void {
    const { state } = this;
    if (isFromLeader(message.kind)) hearLeader(state, message);
    switch (message.kind) {
      case MessageKind.APPEND:
        handleAppend(state, message);
        break;
      case MessageKind.HEARTBEAT:
        handleHeartbeat(state, message);
        break;
      case MessageKind.SNAPSHOT:
        handleSnapshot(state, message);
        break;
      case MessageKind.VOTE:
      case MessageKind.PRE_VOTE:
        handleVoteRequest(state, message);
        break;
      case MessageKind.VOTE_RESPONSE:
      case MessageKind.PRE_VOTE_RESPONSE:
        handleVoteResponse(state, message);
        break;
      case MessageKind.APPEND_RESPONSE:
      case MessageKind.HEARTBEAT_RESPONSE:
        this.#dispatchToLeader(message);
        break;
      case MessageKind.TIMEOUT_NOW:
        if (state.activity === "follower") campaign(state, "transfer");
        break;
      case MessageKind.READ_INDEX:
        handleReadIndex(state, message);
        break;
      case MessageKind.READ_INDEX_RESPONSE:
        handleReadIndexResponse(state, message);
        break;
      case MessageKind.UNRECOGNIZED:
        break; // not ours: a newer peer may speak of more than we know
    }
  }

  #dispatchToLeader(message: RaftMessage): void {
    const { state } = this;
    const peer = state.progress.get(message.from);
    if (state.activity !== "leader" || peer === undefined) return;
    if (message.kind === MessageKind.APPEND_RESPONSE) {
      handleAppendResponse(state, peer, message);
    } else {
      handleHeartbeatResponse(state, peer);
      notePromise(state, message.from, message.lease);
      acknowledgeReadRound(state, message.from, message.context);
    }
  }

  #tickLeader(): void {
    const { state } = this;
    for (const peer of state.progress.values()) peer.tick(state.log.lastIndex);
    if (state.electionElapsed >= state.limits.electionTicks) {
      state.electionElapsed = 0;
      state.transferee = 0; // its time is over
      if (!hearsQuorum(state)) {
        becomeFollower(state, state.term, 0);
        return;
      }
    }
    state.heartbeatElapsed += 1;
    if (state.heartbeatElapsed >= state.limits.heartbeatTicks) {
      state.heartbeatElapsed = 0;
      sendHeartbeats(state);
    }
  }
}

/** Check-quorum (thesis 6.2): a leader that no majority answered for an election timeout steps down. */
function hearsQuorum(state: CoreState): boolean {
  const isHeard = (id: RaftId) => id === state.id || state.progress.get(id)?.recentlyActive === true;
  const result = voteResult(state.voters, (voter) => isHeard(voter) || undefined);
  for (const peer of state.progress.values()) peer.recentlyActive = false;
  return result === "won";
}

/**
 * A message of an earlier term. Its sender is told of ours where that helps it to catch up or to step down.
 */
function answerStale(state: CoreState, message: RaftMessage): void {
  if (isFromLeader(message.kind)) send(state, MessageKind.APPEND_RESPONSE, message.from);
  else if (message.kind === MessageKind.PRE_VOTE) {
    send(state, MessageKind.PRE_VOTE_RESPONSE, message.from, { reject: true });
  }
}
