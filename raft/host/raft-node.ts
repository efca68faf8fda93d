/**
 * What the rest of Skein sees of consensus: propose, read barrier, membership, leadership.
 * Pure (interfaces only); the implementation is host.ts.
 */
import type { RaftInspection } from "../../proto/gen/skein/v1/debug.js";
import type { CoreStatus, RaftId, RaftMember } from "../core/types.js";
import type { DataKeyLock } from "../storage/data-key.js";
import type { LogLimits } from "../storage/stable-log.js";
import type { StateSnapshot } from "../storage/state-store.js";

/** A change of the materialised state. */
export interface KeyValueChange {
  readonly key: string;
  /** undefined deletes the key. May be made when it is first read: late is better, for then less is made. */
  readonly value: Uint8Array | undefined;
  /** About how long `value` is, for who only wants to know that. @default its length */
  readonly bytesAbout?: number;
}

export interface KeyValuePair {
  readonly key: string;
  readonly value: Uint8Array;
}

/**
 * The replicated state machine, owned by the consumer (manager/store).
 * Applying is total and deterministic; it happens in memory at once, and the returned changes are written to
 * `level` in the background at that entry's index.
 */
export interface StateMachine {
  apply(entry: {
    readonly index: number;
    readonly term: number;
    readonly data: Uint8Array;
  }): readonly KeyValueChange[];
  /**
   * Start-up and snapshot installation: forget everything, load these pairs, which are the state at `index`.
   */
  restore(index: number, pairs: AsyncIterable<KeyValuePair>): Promise<void>;
}

export interface RaftStatus extends CoreStatus {
  readonly leaderMember: RaftMember | undefined;
  /** By raft id: is a stream to the peer up (own id: always). */
  readonly reachable: ReadonlyMap<RaftId, boolean>;
  /**
   * Why this member is not healthy, for people: "the log's sync takes 3.2 s",
   * "the state cannot be written: …". Absent: it is. It may come and go.
   */
  readonly trouble?: string;
}

export interface Leadership {
  readonly isLeader: boolean;
  readonly term: number;
  readonly leader: RaftMember | undefined;
}

export interface RaftNode {
  readonly raftId: RaftId;
  /**
   * Resolves when the entry is committed and applied here.
   * @throws {NotLeaderError} not the leader, or another leader's entry took its place:
   * it certainly was not done. So it is, too, while the node closes.
   * @throws {UnavailableError} leadership was lost, or the node stops, and the entry's fate is unknown.
   * @throws {ResourceExhaustedError} too many uncommitted bytes: retry after a pause.
   */
  propose(data: Uint8Array, options?: { signal?: AbortSignal }): Promise<{ index: number; term: number }>;
  /** Resolves when this replica holds every write acknowledged before the call; works on followers, too. */
  readBarrier(options?: { signal?: AbortSignal }): Promise<number>;
  status(): RaftStatus;
  /** What `status` says of these two, without making the rest: for hot paths. */
  readonly isLeader: boolean;
  readonly leaderMember: RaftMember | undefined;
  /** Everything about this member, for people and metrics. Costs some 20 us: not for hot paths. */
  inspect(): RaftInspection;
  /**
   * Leader only. Adds a learner, which is promoted by itself when it has caught up.
   * A member that had taken part already is replaced.
   */
  addMember(member: {
    nodeId: string;
    address: string;
  }): Promise<{ raftId: RaftId; members: readonly RaftMember[]; removed: readonly RaftId[] }>;
  /** Leader only. @throws {FailedPreconditionError} when the rest would have no quorum, unless forced. */
  removeMember(raftId: RaftId, options?: { force?: boolean }): Promise<void>;
  /** How much of the log is kept, from its next compaction on; of this member alone. */
  setLogLimits(limits: LogLimits): void;
  /**
   * Makes a new data key, when the cluster counts a newer rotation than this member follows. Resolves when
   * what is appended is sealed under it; what was sealed before follows in the background.
   * @throws {ResourceExhaustedError} too many old keys are needed still.
   */
  rotateDataKey(epoch: number): Promise<void>;
  /** Locks this member's data keys on disk, under another lock than before, or unlocks them. */
  relock(lock: DataKeyLock | undefined): Promise<void>;
  /** Leader only: hands over to a caught-up voter and resolves when it leads. */
  transferLeadership(options?: { to?: RaftId }): Promise<void>;
  /**
   * A frozen view of the state with everything in it that is applied here when it is called: a `readBarrier`
   * before it makes that everything acknowledged. Whoever opens it closes it, soon: what changes meanwhile is
   * kept twice. Its reading fails when a received snapshot replaces the state.
   */
  exportState(): Promise<StateSnapshot>;
  /** Calls back on every change of leader or term, and once at subscription. @returns unsubscribe. */
  onLeadership(listener: (leadership: Leadership) => void): () => void;
  /** Calls back on every committed membership change and once at subscription. @returns unsubscribe. */
  onMembership(listener: (members: readonly RaftMember[]) => void): () => void;
  /**
   * Stops: transfers leadership first when it leads and peers are there (bounded),
   * then closes log and streams.
   */
  close(): Promise<void>;
}
