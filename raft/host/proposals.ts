/**
 * Entries proposed here: those made in one turn go to the core together,
 * and each proposer waits for the apply.
 * Pure over the core. Bounds: 16384 proposers; the core refuses when 16 MiB are uncommitted.
 * Invariant: each proposer hears exactly once: success only when the very entry (index and term) was applied
 * here, "not leader" only when it certainly never will be, anywhere.
 *
 * When leadership is lost, what is in the log may still be committed by the next leader. This member learns
 * it as a follower, so the proposers go on waiting (at most 50 ticks) until an applied entry tells:
 *
 *   applied here                      pending                        its fate
 *   index i, term t                   i, t                           done (Log Matching, paper 5.3)
 *   index i, term t                   i, another term                not done (State Machine Safety, 5.4.3)
 *   index i, term t                   beyond i, term below t         not done: terms in a log never decrease
 *   a snapshot that covers it                                        unknown: the entry was not seen
 *
 * Unknown, too, is what was at an index at which this member proposes again before any of this was applied.
 *
 * A new leader begins with an entry of its own term, so the third line settles all that is left as soon as
 * that one is committed: one round trip after a transfer.
 */
import {
  CancelledError,
  InvalidArgumentError,
  NotLeaderError,
  ResourceExhaustedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import type { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import type { RaftCoreApi, RaftMember } from "../core/types.js";
import type { LogPoint } from "../storage/entry-log.js";
import type { RaftMeters } from "./raft-meters.js";

/** Proposers waiting at a time: four times what the gates of five managers let in. */
const PENDING_MAX = 16_384;
/** Two election timeouts at their longest, and the commit of the next leader's first entry. */
const FATE_TICKS = 50;
/** What a refused proposer is told: never so soon that it spins, never so late that it sleeps through. */
const RETRY_AFTER_MS = { min: 20, max: 5_000 } as const;
/** Commits over which the latency is averaged. */
const MEAN_OVER = 32;

interface Proposer {
  readonly resolve: (at: LogPoint) => void;
  readonly reject: (error: unknown) => void;
}

interface PendingProposal {
  readonly term: number;
  readonly proposer: Proposer;
  readonly sinceMs: number;
}

interface Unsent {
  readonly data: Uint8Array;
  readonly proposer: Proposer;
}

export interface ProposalsOptions {
  readonly core: Pick<RaftCoreApi, "propose" | "proposeConfChange">;
  /** Lets the core work. */
  readonly drive: () => void;
  readonly bytesMax: number;
  /** Takes the latency of commits. */
  readonly meters?: RaftMeters;
}

export class Proposals {
  readonly #options: ProposalsOptions;
  /** By index, in the order of proposing. */
  readonly #pending = new Map<number, PendingProposal>();
  #unsent: Unsent[] = [];
  /** Terms in which this member led, and how long their proposers go on waiting. */
  #lost: { readonly term: number; readonly notLeader: NotLeaderError; ticksLeft: number }[] = [];
  /** Of the last entry applied. */
  #appliedTerm = 0;
  /** Why nobody will be answered any more. */
  #ended: Error | undefined;
  #meanCommitMs = 0;

  constructor(options: ProposalsOptions) {
    this.#options = options;
  }

  /** Proposers that were not answered yet. */
  get waiting(): number {
    return this.#pending.size + this.#unsent.length;
  }

  propose(data: Uint8Array, signal: AbortSignal | undefined): Promise<LogPoint> {
    const { bytesMax } = this.#options;
    if (data.length === 0 || data.length > bytesMax) {
      const found = `got ${data.length}`;
      return Promise.reject(
        new InvalidArgumentError(`propose: an entry has 1 to ${bytesMax} bytes, ${found}`),
      );
    }
    if (this.waiting >= PENDING_MAX) {
      const message = `propose: ${PENDING_MAX} proposals already wait for commit`;
      return Promise.reject(new ResourceExhaustedError(message, { retryAfterMs: this.#retryAfterMs() }));
    }
    return cancellable(signal, (proposer) => {
      this.#unsent.push({ data, proposer });
      if (this.#unsent.length === 1) queueMicrotask(() => this.#sendUnsent());
    });
  }

  /** Proposes a membership change. @throws what the core throws. */
  async change(kind: ConfChangeKind, member: RaftMember): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    await new Promise<LogPoint>((resolve, reject) => {
      const at = this.#options.core.proposeConfChange({ kind, member, context: new Uint8Array(0) });
      this.#add(at, { resolve, reject });
      this.#options.drive();
    });
  }

  applied(at: LogPoint): void {
    const pending = this.#pending.get(at.index);
    if (pending !== undefined) {
      this.#pending.delete(at.index);
      if (pending.term === at.term) this.#done(pending, at);
      else pending.proposer.reject(replaced());
    }
    if (at.term > this.#appliedTerm) this.#enterTerm(at.term);
  }

  /** A snapshot took the place of the log: what it covers was not seen. */
  installed(at: LogPoint): void {
    for (const [index, pending] of this.#pending) {
      if (index > at.index) continue;
      this.#pending.delete(index);
      pending.proposer.reject(unknownFate(undefined));
    }
    this.#enterTerm(Math.max(at.term, this.#appliedTerm));
  }

  /** What is in the log already may be committed by the next leader: its proposers wait for that. */
  leadershipLost(term: number, notLeader: NotLeaderError): void {
    if (this.#pending.size > 0) this.#lost.push({ term, notLeader, ticksLeft: FATE_TICKS });
    this.#rejectUnsent(notLeader);
  }

  /** Ends the waiting for a fate that cannot be learned. */
  tick(): void {
    if (this.#lost.length === 0) return;
    if (this.#pending.size === 0) this.#lost = [];
    for (const lost of this.#lost) {
      lost.ticksLeft -= 1;
      if (lost.ticksLeft > 0) continue;
      for (const [index, pending] of this.#pending) {
        if (pending.term > lost.term) continue;
        this.#pending.delete(index);
        pending.proposer.reject(unknownFate(lost.notLeader));
      }
    }
    this.#lost = this.#lost.filter(({ ticksLeft }) => ticksLeft > 0);
  }

  /** For good: the member stops. */
  rejectAll(error: Error): void {
    this.#ended = error;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { proposer } of pending) proposer.reject(error);
    this.#rejectUnsent(error);
  }

  #rejectUnsent(error: Error): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    for (const { proposer } of unsent) proposer.reject(error);
  }

  #done({ proposer, sinceMs }: PendingProposal, at: LogPoint): void {
    const { meters } = this.#options;
    if (meters !== undefined) {
      meters.committed(sinceMs);
      this.#meanCommitMs += (meters.nowMs() - sinceMs - this.#meanCommitMs) / MEAN_OVER;
    }
    proposer.resolve({ index: at.index, term: at.term });
  }

  /** An entry of a later term is committed: entries of earlier terms can never follow it in any log. */
  #enterTerm(term: number): void {
    this.#appliedTerm = term;
    for (const [index, pending] of this.#pending) {
      if (pending.term >= term) continue;
      this.#pending.delete(index);
      pending.proposer.reject(replaced());
    }
  }

  /**
   * The backlog of now has drained when what was proposed last is committed, which takes as long as the last
   * commits took (Little's law); when nothing is committed any more, as long again as the oldest has waited.
   */
  #retryAfterMs(): number {
    const oldest = this.#pending.values().next().value;
    const ageMs = oldest === undefined ? 0 : (this.#options.meters?.nowMs() ?? 0) - oldest.sinceMs;
    return Math.min(RETRY_AFTER_MS.max, Math.max(RETRY_AFTER_MS.min, this.#meanCommitMs, ageMs));
  }

  #sendUnsent(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    if (unsent.length === 0) return;
    if (!this.#trySend(unsent)) {
      // Together they are too many: as many as fit, one by one.
      for (const one of unsent) this.#trySend([one]);
    }
    this.#options.drive();
  }

  /** @returns false when the batch should be tried in smaller ones. */
  #trySend(batch: readonly Unsent[]): boolean {
    try {
      const { term, firstIndex } = this.#options.core.propose(batch.map(({ data }) => data));
      batch.forEach(({ proposer }, at) => {
        this.#add({ index: firstIndex + at, term }, proposer);
      });
    } catch (error) {
      if (error instanceof ResourceExhaustedError && batch.length > 1) return false;
      const reason =
        error instanceof ResourceExhaustedError
          ? new ResourceExhaustedError(error.message, { cause: error, retryAfterMs: this.#retryAfterMs() })
          : error;
      for (const { proposer } of batch) proposer.reject(reason);
    }
    return true;
  }

  #add(at: LogPoint, proposer: Proposer): void {
    // A later leadership may reuse an index whose entry was not committed when it began. Another member may
    // hold the old entry still, win an election and commit it (paper 5.4.2, figure 8).
    this.#pending.get(at.index)?.proposer.reject(unknownFate(undefined));
    this.#pending.delete(at.index); // so that the order of the map stays that of proposing
    this.#pending.set(at.index, { term: at.term, proposer, sinceMs: this.#options.meters?.nowMs() ?? 0 });
  }
}

function replaced(): NotLeaderError {
  return new NotLeaderError("the proposed entry was replaced by another leader's");
}

function unknownFate(cause: NotLeaderError | undefined): UnavailableError {
  const unknown =
    "leadership was lost before the change was committed: " +
    "it may have been made, or not; look before you repeat it";
  return new UnavailableError(unknown, { cause });
}

/** Makes a promise that a signal can end early; `start` gets the proposer to complete. */
function cancellable(
  signal: AbortSignal | undefined,
  start: (proposer: Proposer) => void,
): Promise<LogPoint> {
  return new Promise((resolve, reject) => {
    if (signal === undefined) {
      start({ resolve, reject });
      return;
    }
    if (signal.aborted) {
      reject(new CancelledError("propose: cancelled before it was sent"));
      return;
    }
    const onAbort = (): void =>
      reject(new CancelledError("propose: cancelled; the entry may still be applied"));
    signal.addEventListener("abort", onAbort, { once: true });
    const done = (): void => signal.removeEventListener("abort", onAbort);
    start({
      resolve: (at) => {
        done();
        resolve(at);
      },
      reject: (error) => {
        done();
        reject(error);
      },
    });
  });
}
