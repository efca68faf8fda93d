/**
 * The mutable state that the functions of the core share, and the few things all of them do with it.
 * Pure. Invariant: only functions of raft/core change it, one input at a time. Source: Raft paper figure 2.
 */
import type { Random } from "../../base/random/random.js";
import { LogView } from "../log/log-view.js";
import { Progress } from "../tracker/progress.js";
import { createLease, type LeaseState } from "./lease.js";
import { type MessageFields, type MessageKind, makeMessage } from "./message.js";
import type {
  CoreOptions,
  HardState,
  Membership,
  RaftId,
  RaftMessage,
  RaftRole,
  ReadState,
} from "./types.js";

/** What a member does now; whether it may vote is the membership's to say. */
export type Activity = "follower" | "pre-candidate" | "candidate" | "leader";

export interface CoreLimits {
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly bytesPerMessageMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
}

export interface ReadRequest {
  readonly from: RaftId;
  readonly context: number;
}

/** Reads confirmed together by one heartbeat round (thesis 6.4). */
export interface ReadRound {
  readonly id: number;
  readonly index: number;
  readonly requests: readonly ReadRequest[];
  readonly acks: Set<RaftId>;
}

/** What is known after the leader's connection broke; see election-hint.ts. */
export interface ElectionHint {
  /** Ticks until the next try. */
  ticksLeft: number;
  triesLeft: number;
}

export interface CoreState {
  readonly id: RaftId;
  readonly random: Random;
  readonly limits: CoreLimits;
  readonly log: LogView;

  term: number;
  vote: RaftId;
  leader: RaftId;
  activity: Activity;
  membership: Membership;
  /** Derived from the membership, ascending. */
  voters: readonly RaftId[];
  removed: ReadonlySet<RaftId>;

  electionElapsed: number;
  electionTimeout: number;
  hint: ElectionHint | undefined;
  /** undefined: lease reads are off. */
  readonly lease: LeaseState | undefined;
  /** Ballots of the election under way. */
  readonly ballots: Map<RaftId, boolean>;

  // The leader's own.
  heartbeatElapsed: number;
  /** By id, ascending; holds the leader itself, whose `match` is what it has synced. */
  progress: Map<RaftId, Progress>;
  replicationDue: boolean;
  transferee: RaftId;
  /** Index of the newest conf change in the log: none may follow before it is applied. */
  pendingConfIndex: number;
  uncommitted: { readonly lastIndex: number; readonly bytes: number }[];
  uncommittedBytes: number;
  readQueue: ReadRequest[];
  readRound: ReadRound | undefined;
  lastReadRound: number;

  // What the next Ready carries.
  outbox: RaftMessage[];
  readStates: ReadState[];
}

export function createCoreState(options: CoreOptions): CoreState {
  const { hardState, membership } = options.storage.initialState();
  const limits: CoreLimits = {
    electionTicks: options.electionTicks ?? 10,
    heartbeatTicks: options.heartbeatTicks ?? 1,
    bytesPerMessageMax: options.bytesPerMessageMax ?? 256 * 1024,
    inflightMessagesMax: options.inflightMessagesMax ?? 256,
    inflightBytesMax: options.inflightBytesMax ?? 4 * 1024 * 1024,
    uncommittedBytesMax: options.uncommittedBytesMax ?? 16 * 1024 * 1024,
  };
  const state: CoreState = {
    id: options.id,
    random: options.random,
    limits,
    log: new LogView(options.storage, { commitIndex: hardState.commit, appliedIndex: options.appliedIndex }),
    term: hardState.term,
    vote: hardState.vote,
    leader: 0,
    activity: "follower",
    membership,
    voters: [],
    removed: new Set(),
    electionElapsed: 0,
    electionTimeout: 0,
    hint: undefined,
    lease: createLease(options.leaseReads, limits.electionTicks),
    ballots: new Map(),
    heartbeatElapsed: 0,
    progress: new Map(),
    replicationDue: false,
    transferee: 0,
    pendingConfIndex: 0,
    uncommitted: [],
    uncommittedBytes: 0,
    readQueue: [],
    readRound: undefined,
    lastReadRound: 0,
    outbox: [],
    readStates: [],
  };
  setMembership(state, membership);
  drawElectionTimeout(state);
  return state;
}

/** Adopts a membership and what is derived from it; progress is the caller's. */
export function setMembership(state: CoreState, membership: Membership): void {
  state.membership = membership;
  state.voters = membership.members
    .filter((member) => !member.learner)
    .map((member) => member.raftId)
    .sort((a, b) => a - b);
  state.removed = new Set(membership.removed);
}

/** Randomised, so that elections seldom collide (Raft paper 5.2). */
export function drawElectionTimeout(state: CoreState): void {
  const { electionTicks } = state.limits;
  state.electionTimeout = state.random.int(electionTicks, 2 * electionTicks);
}

export function hardStateOf(state: CoreState): HardState {
  return { term: state.term, vote: state.vote, commit: state.log.commitIndex };
}

export function isVoter(state: CoreState, id: RaftId): boolean {
  return state.voters.includes(id);
}

/** May campaign: a voter by its own knowledge, and not in the middle of replacing its log. */
export function isPromotable(state: CoreState): boolean {
  return isVoter(state, state.id) && state.log.pendingSnapshot === undefined;
}

export function roleOf(state: CoreState): RaftRole {
  if (state.activity !== "follower") return state.activity;
  return isVoter(state, state.id) ? "follower" : "learner";
}

/**
 * The leader has committed an entry of its own term: only then does it know what is committed (Raft paper 8).
 */
export function hasCommittedInOwnTerm(state: CoreState): boolean {
  return state.log.term(state.log.commitIndex) === state.term;
}

export function makeProgress(state: CoreState, id: RaftId, learner: boolean): Progress {
  return new Progress(id, state.log.lastIndex + 1, learner, state.limits);
}

/** Puts a message of the current term, or of `term` when given, into the next Ready. */
export function send(
  state: CoreState,
  kind: MessageKind,
  to: RaftId,
  fields: MessageFields & { term?: number } = {},
): void {
  state.outbox.push(makeMessage(kind, { from: state.id, to, term: fields.term ?? state.term }, fields));
}
