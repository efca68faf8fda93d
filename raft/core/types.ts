/**
 * The words of the Raft core: what goes in, what comes out. Pure.
 * Source: Raft paper (extended), Ongaro's thesis; the step/ready/advance shape follows etcd-io/raft's idea.
 */

import type { Random } from "../../base/random/random.js";
import type {
  ConfChange,
  Entry,
  HardState,
  Membership,
  RaftMember,
  RaftMessage,
  SnapshotMeta,
} from "../../proto/gen/skein/v1/raft.js";

export type { ConfChange, Entry, HardState, Membership, RaftMember, RaftMessage, SnapshotMeta };

/** Member id: a random safe integer > 0, never used again after removal. 0 stands for nobody. */
export type RaftId = number;

export type RaftRole = "follower" | "pre-candidate" | "candidate" | "leader" | "learner";

/**
 * Answer to a ReadIndex request: once `appliedIndex >= index`,
 * reads that asked with `context` are linearizable.
 */
export interface ReadState {
  readonly context: number;
  readonly index: number;
}

/** What changed about who leads, for logs and for followers that must find the leader. */
export interface SoftState {
  readonly role: RaftRole;
  readonly leader: RaftId;
  readonly term: number;
}

/**
 * One batch of work for the host, in the order it must be done:
 * 1. append `entries` and `hardState` to the log and sync, unless `mustSync` is false;
 *    a leader's MSG_APPEND messages may be sent before or during that sync (thesis 10.2.1), nothing else may;
 * 2. install `snapshot` when present (replaces log and state);
 * 3. send `messages`;
 * 4. apply `committedEntries` in order; complete refused proposals;
 * 5. call `advance()`.
 *
 * `readStates` wait for nothing but the apply of their index: they may be answered first of all.
 */
export interface Ready {
  readonly softState?: SoftState;
  readonly hardState?: HardState;
  readonly entries: readonly Entry[];
  readonly snapshot?: SnapshotMeta;
  readonly committedEntries: readonly Entry[];
  /** Safe to send before the sync of this batch: a leader's appends and heartbeats. */
  readonly messagesBeforeSync: readonly RaftMessage[];
  readonly messages: readonly RaftMessage[];
  readonly readStates: readonly ReadState[];
  readonly mustSync: boolean;
}

/** Read access to the stable log; the core asks, storage answers from memory or disk without waiting. */
export interface LogStorage {
  initialState(): { hardState: HardState; membership: Membership };
  /**
   * Entries in [low, high), at least one unless empty, cut at about `bytesMax`.
   * @throws {DataLossError} when compacted: ask `firstIndex` first.
   */
  entries(low: number, high: number, bytesMax: number): readonly Entry[];
  /**
   * Term of an entry; also answers for firstIndex - 1 (the snapshot point).
   * undefined: compacted or beyond the end.
   */
  term(index: number): number | undefined;
  firstIndex(): number;
  lastIndex(): number;
  /** The newest snapshot that can be sent now. */
  snapshotMeta(): SnapshotMeta;
}

/** A consistent copy of one peer's progress, for status and for tests. */
export interface ProgressView {
  readonly raftId: RaftId;
  readonly match: number;
  readonly next: number;
  readonly state: "probe" | "replicate" | "snapshot";
  readonly learner: boolean;
  readonly recentlyActive: boolean;
  /** Ticks since its last answer; Infinity before the first. Means nothing for the leader itself. */
  readonly silentTicks: number;
  /** A learner that may be given a vote: the last round of catching up took less than an election timeout. */
  readonly caughtUp: boolean;
}

export interface CoreStatus {
  readonly id: RaftId;
  readonly role: RaftRole;
  readonly term: number;
  readonly leader: RaftId;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly lastIndex: number;
  readonly membership: Membership;
  /**
   * A leader that has applied an entry of its own term, and so every membership change of its predecessors.
   */
  readonly isSettled: boolean;
  /** Leader only. */
  readonly progress: readonly ProgressView[];
}

/**
 * Lets a leader answer reads without a round trip while a majority has promised to elect nobody else
 * (raft/core/lease.ts, ADR 0012). Costs the fast failover by hints: while a promise lasts, nobody campaigns.
 * Members with and without it may be mixed; only those that have it promise and rely.
 */
export interface LeaseReads {
  /**
   * Time in ticks, with fractions, since any fixed moment of this process: steady, from 0 up, and going on
   * while the process stands still (a monotonic clock divided by the length of a tick). May run up to 14 %
   * fast or slow.
   */
  readonly elapsedTicks: () => number;
  /**
   * The same, never less, plus what that clock may have missed, e.g. while the machine slept. A leader
   * measures its lease by it. @default elapsedTicks
   */
  readonly elapsedTicksMax?: () => number;
  /**
   * The last life of this member had lease reads, this one has not: it promises nothing and relies on nobody,
   * but keeps what it may have promised.
   * @default false
   */
  readonly retiring?: boolean;
}

export interface CoreOptions {
  readonly id: RaftId;
  readonly storage: LogStorage;
  readonly random: Random;
  /** Index up to which the host has applied; 0 for a new member. */
  readonly appliedIndex: number;
  /** Ticks without a leader before pre-vote: drawn from [electionTicks, 2*electionTicks). @default 10 */
  readonly electionTicks?: number;
  /** @default 1 */
  readonly heartbeatTicks?: number;
  /** Bytes of entries in one MSG_APPEND. @default 262144 */
  readonly bytesPerMessageMax?: number;
  /** Unacknowledged MSG_APPEND per follower. @default 256 */
  readonly inflightMessagesMax?: number;
  /** Bytes of entries in flight per follower. @default 4 MiB */
  readonly inflightBytesMax?: number;
  /** Proposed but uncommitted bytes on the leader before proposals are refused. @default 16 MiB */
  readonly uncommittedBytesMax?: number;
  /** @default undefined: every read costs a share of a round of heartbeats (ReadIndex) */
  readonly leaseReads?: LeaseReads | undefined;
}

/**
 * The core: synchronous, single-threaded, without a clock. Every input may make a Ready;
 * take it when `hasReady()`.
 */
export interface RaftCoreApi {
  tick(): void;
  /**
   * @throws {InvariantError} on what no correct peer can send;
   * messages of removed or unknown members are ignored.
   */
  step(message: RaftMessage): void;
  /** Leader only. @returns where each landed. @throws {NotLeaderError} {ResourceExhaustedError} */
  propose(data: readonly Uint8Array[]): { readonly term: number; readonly firstIndex: number };
  /**
   * Leader only; one at a time, and only after an entry of the own term is committed.
   * @throws {NotLeaderError} {FailedPreconditionError} another change is pending.
   */
  proposeConfChange(change: ConfChange): { readonly term: number; readonly index: number };
  /**
   * The host calls it for each committed CONF_CHANGE entry, in order, before `advance`.
   * @returns the new membership.
   */
  applyConfChange(change: ConfChange): Membership;
  /**
   * Asks for a linearizable read point; the answer comes in a Ready's readStates under this context (unique,
   * > 0). Works on followers.
   * @throws {UnavailableError} no leader known.
   */
  readIndex(context: number): void;
  /** Leader only. Ends its lease for good. */
  transferLeadership(to: RaftId): void;
  /** Before the host, past the core, tells a voter to campaign: no read is answered by lease in this term. */
  forfeitLease(): void;
  /** Starts pre-vote now, whatever the timer says (tests, forced start of a single member). */
  campaign(): void;
  /**
   * The stream to or from a peer broke. From the leader:
   * pre-vote starts within a small random number of ticks (0 to 2).
   */
  connectionLost(peer: RaftId): void;
  /** A send failed: go back to probing. */
  reportUnreachable(peer: RaftId): void;
  /** A snapshot stream to a peer ended. */
  reportSnapshot(peer: RaftId, ok: boolean): void;
  /** The same as in `status`, for hot paths. */
  readonly leads: boolean;
  /** 0: unknown. */
  readonly leader: RaftId;
  hasReady(): boolean;
  ready(): Ready;
  /** The last Ready was carried out. */
  advance(): void;
  status(): CoreStatus;
}
