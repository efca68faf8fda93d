/**
 * The core as the simulator runs it: the real one with a window into its state, watched by the checkers;
 * or one with a planted bug, which proves that the checkers would notice. Pure.
 */
import type { CoreState } from "../../raft/core/core-state.js";
import { RaftCore } from "../../raft/core/raft-core.js";
import { READS_PENDING_MAX } from "../../raft/core/reads.js";
import type {
  ConfChange,
  CoreOptions,
  Entry,
  Membership,
  RaftId,
  RaftMessage,
  Ready,
} from "../../raft/core/types.js";
import { encodeConfChange } from "../../raft/log/conf-change-codec.js";
import { EntryKind, makeEntry } from "../../raft/log/make-entry.js";
import { committedIndex, quorumSize } from "../../raft/quorum/majority.js";
import type { PlantedBug } from "./sim-bugs.js";
import { type LeaderPeek, SafetyViolation, type SimChecker } from "./sim-checker.js";
import type { MemberTuning } from "./sim-profiles.js";

export interface CoreWatch {
  readonly checker: SimChecker;
  readonly tuning: MemberTuning;
  readonly bug: PlantedBug | undefined;
  leaders(): readonly LeaderPeek[];
  /** For the trace. */
  note(id: RaftId, text: string, ...facts: number[]): void;
}

export class SimCore extends RaftCore {
  readonly #watch: CoreWatch;
  readonly #bug: PlantedBug | undefined;
  readonly #ticks: { count: number };
  #commitSeen: number;
  #leading: { readonly term: number; lastIndex: number } | undefined;
  #changes: Entry[] = [];
  #snapshot: Ready["snapshot"];

  constructor(options: CoreOptions, watch: CoreWatch) {
    const ticks = { count: 0 };
    super(optionsWith(options, watch.bug, ticks));
    this.#ticks = ticks;
    this.#watch = watch;
    this.#bug = watch.bug;
    this.#commitSeen = options.appliedIndex;
    watch.checker.membershipAt(options.id, options.appliedIndex, this.state.membership);
  }

  /** To look, not to touch. */
  get inside(): Readonly<CoreState> {
    return this.state;
  }

  get isLeader(): boolean {
    return this.state.activity === "leader";
  }

  override tick(): void {
    this.#ticks.count += 1;
    super.tick();
  }

  override connectionLost(peer: RaftId): void {
    if (this.#bug === "hint-frees-vote" && this.state.lease !== undefined) this.state.lease.holdUntil = 0;
    super.connectionLost(peer);
  }

  override step(message: RaftMessage): void {
    const { state } = this;
    const isGone = state.removed.has(message.from);
    const before = isGone
      ? { term: state.term, leader: state.leader, sends: state.outbox.length }
      : undefined;
    if (this.#bug === "removed-heard") state.removed = new Set();
    super.step(this.#bug === "vote-for-anyone" ? flatterCandidate(message) : message);
    if (this.#bug === "removed-heard") state.removed = new Set(state.membership.removed);
    if (before !== undefined && (before.term !== state.term || before.sends < state.outbox.length)) {
      throw new SafetyViolation(
        "removed stay out",
        `member ${state.id} heeds ${message.from}, which was removed`,
      );
    }
    if (state.activity !== "leader") return;
    const { voters, progress, log } = state;
    if (this.#bug === "commit-old-term") {
      log.commitTo(committedIndex(voters, (voter) => progress.get(voter)?.match ?? 0));
    } else if (this.#bug === "learner-counted") {
      const matches = [...progress.values()].map((peer) => peer.match).sort((a, b) => b - a);
      const index = matches[quorumSize(voters.length) - 1] ?? 0;
      if (log.term(index) === state.term) log.commitTo(index);
    }
  }

  override readIndex(context: number): void {
    if (this.#bug === "read-without-round" && this.isLeader) {
      this.state.readStates.push({ context, index: this.state.log.commitIndex });
    } else {
      super.readIndex(context);
    }
  }

  override proposeConfChange(change: ConfChange): { readonly term: number; readonly index: number } {
    if (this.#bug === "change-before-own-commit" && this.isLeader) {
      const { state } = this;
      if (state.log.term(state.log.commitIndex) !== state.term) return this.#proposeAnyway(change);
    }
    if (this.#bug === "two-changes-at-once") this.state.pendingConfIndex = 0;
    if (this.#bug === "return-under-old-id") this.state.removed = new Set();
    const at = super.proposeConfChange(change);
    if (this.#bug === "return-under-old-id") this.state.removed = new Set(this.state.membership.removed);
    return at;
  }

  /** Planted: the rules of raft/core/membership.ts for a new leader are not asked. */
  #proposeAnyway(change: ConfChange): { readonly term: number; readonly index: number } {
    const { state } = this;
    const at = { term: state.term, index: state.log.lastIndex + 1 };
    state.log.append([makeEntry(at, encodeConfChange(change), EntryKind.CONF_CHANGE)]);
    state.replicationDue = true;
    return at;
  }

  override applyConfChange(change: ConfChange): Membership {
    if (this.#bug === "return-under-old-id" && change.kind === "CONF_CHANGE_KIND_ADD_LEARNER") {
      const { members, removed } = this.state.membership;
      this.state.membership = { members, removed: removed.filter((id) => id !== change.member?.raftId) };
    }
    const membership = super.applyConfChange(change);
    const index = this.#changes.shift()?.index ?? 0;
    const { checker } = this.#watch;
    checker.membershipChanged(this.state.id, index, membership);
    this.#watch.note(this.state.id, `${change.kind} ${change.member?.raftId}`, 7, index);
    return membership;
  }

  override ready(): Ready {
    const ready = super.ready();
    this.#changes = ready.committedEntries.filter(({ kind }) => kind === EntryKind.CONF_CHANGE);
    this.#snapshot = ready.snapshot;
    this.#observe(ready);
    return this.#bug === "forget-vote" && ready.hardState !== undefined
      ? { ...ready, hardState: { ...ready.hardState, vote: 0 } }
      : ready;
  }

  override advance(): void {
    super.advance();
    const snapshot = this.#snapshot;
    this.#snapshot = undefined;
    if (snapshot?.membership === undefined) return;
    this.#watch.checker.membershipAt(this.state.id, snapshot.index, snapshot.membership);
  }

  #observe(ready: Ready): void {
    const { checker } = this.#watch;
    const { id, term, log } = this.state;
    const first = ready.entries[0];
    if (first !== undefined) this.#observeAppends(ready.entries, first);
    if (ready.softState !== undefined) {
      const { role, leader } = ready.softState;
      this.#watch.note(id, `${role} in term ${term}, leader ${leader}`, 5, term, leader);
      if (role === "leader") {
        checker.leaderSeen(id, term, log);
        if (this.#leading?.term !== term) this.#leading = { term, lastIndex: log.lastIndex };
      } else {
        this.#leading = undefined;
      }
    }
    if (log.commitIndex > this.#commitSeen) {
      const commit = { from: this.#commitSeen, to: log.commitIndex, byTerm: term };
      checker.committedUpTo(id, commit, log, () => this.#watch.leaders());
      this.#commitSeen = log.commitIndex;
    }
    this.#checkBounds(ready);
  }

  #observeAppends(entries: readonly Entry[], first: Entry): void {
    const { id, term, log } = this.state;
    const leading = this.#leading;
    let previousTerm = log.term(first.index - 1) ?? 0;
    for (const entry of entries) {
      this.#watch.checker.appended(id, entry, previousTerm);
      previousTerm = entry.term;
    }
    if (leading === undefined || leading.term !== term || !this.isLeader) return;
    // The first Ready of a leadership carries entries from before it was looked at.
    if (log.lastIndex < leading.lastIndex || entries.some((entry) => entry.term > term))
      throw new SafetyViolation("leader append-only", `leader ${id} of term ${term} shortened its log`);
    leading.lastIndex = log.lastIndex;
  }

  /** The bounds of docs/design/raft.md section 7. */
  #checkBounds(ready: Ready): void {
    const { id, uncommitted, uncommittedBytes, progress, readQueue } = this.state;
    const { tuning } = this.#watch;
    const tooMuch = (what: string): never => {
      throw new SafetyViolation("bounded memory", `member ${id} holds ${what}`);
    };
    if (uncommitted.length > 1 && uncommittedBytes > (tuning.uncommittedBytesMax ?? Number.POSITIVE_INFINITY))
      tooMuch(`${uncommittedBytes} uncommitted bytes`);
    if (readQueue.length > READS_PENDING_MAX) tooMuch(`${readQueue.length} reads`);
    const countMax = tuning.inflightMessagesMax ?? 256;
    const bytesMax = (tuning.inflightBytesMax ?? 0) + (tuning.bytesPerMessageMax ?? 0) + ENTRY_BYTES_MAX;
    for (const { inflight, raftId } of progress.values()) {
      if (inflight.count > countMax) tooMuch(`${inflight.count} messages in flight to ${raftId}`);
      if (inflight.bytes > bytesMax) tooMuch(`${inflight.bytes} bytes in flight to ${raftId}`);
    }
    const messages = ready.messages.length + ready.messagesBeforeSync.length;
    const messagesMax = MESSAGES_BESIDE_APPENDS + progress.size * (countMax + 4);
    if (messages > messagesMax) tooMuch(`${messages} messages in one batch`);
  }
}

/** A lease measured so slowly outlasts the promises by far: 0.75 / 0.35 > 2. */
const SLOW_LEASE = 0.35;

function optionsWith(
  options: CoreOptions,
  bug: PlantedBug | undefined,
  ticks: { readonly count: number },
): CoreOptions {
  const { leaseReads } = options;
  if (bug === "uncommitted-unbounded") return { ...options, uncommittedBytesMax: 2 ** 40 };
  if (leaseReads === undefined) return options;
  const { elapsedTicks } = leaseReads;
  if (bug === "lease-by-ticks") return { ...options, leaseReads: { elapsedTicks: () => ticks.count } };
  if (bug === "lease-too-long") {
    return { ...options, leaseReads: { ...leaseReads, elapsedTicksMax: () => elapsedTicks() * SLOW_LEASE } };
  }
  return options;
}

/** A client's largest command. */
const ENTRY_BYTES_MAX = 1_024;
/** Votes, reads of peers and answers that gathered while a process stood still or a disk was slow. */
const MESSAGES_BESIDE_APPENDS = 4_096;

function flatterCandidate(message: RaftMessage): RaftMessage {
  const isAsking = message.kind === "MESSAGE_KIND_VOTE" || message.kind === "MESSAGE_KIND_PRE_VOTE";
  return isAsking ? { ...message, logTerm: Number.MAX_SAFE_INTEGER } : message;
}
