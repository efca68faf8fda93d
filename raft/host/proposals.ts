/**
 * Entries proposed here: those made in one turn go to the core together,
 * and each proposer waits for the apply.
 * Pure over the core. Bound: the core refuses proposals when 16 MiB of them are uncommitted.
 * Invariant: each proposer hears exactly once;
 * success only when the very entry (index and term) was applied here.
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
  readonly core: RaftCoreApi;
  /** Lets the core work. */
  readonly drive: () => void;
  readonly bytesMax: number;
  /** Takes the latency of commits. */
  readonly meters?: RaftMeters;
}

export class Proposals {
  readonly #options: ProposalsOptions;
  readonly #pending = new Map<number, PendingProposal>();
  #unsent: Unsent[] = [];

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
    return cancellable(signal, (proposer) => {
      this.#unsent.push({ data, proposer });
      if (this.#unsent.length === 1) queueMicrotask(() => this.#sendUnsent());
    });
  }

  /** Proposes a membership change. @throws what the core throws. */
  async change(kind: ConfChangeKind, member: RaftMember): Promise<void> {
    await new Promise<LogPoint>((resolve, reject) => {
      const at = this.#options.core.proposeConfChange({ kind, member, context: new Uint8Array(0) });
      this.#add(at, { resolve, reject });
      this.#options.drive();
    });
  }

  applied(at: LogPoint): void {
    const pending = this.#pending.get(at.index);
    if (pending === undefined) return;
    this.#pending.delete(at.index);
    if (pending.term === at.term) {
      this.#options.meters?.committed(pending.sinceMs);
      pending.proposer.resolve({ index: at.index, term: at.term });
    } else pending.proposer.reject(new NotLeaderError("the proposed entry was replaced by another leader's"));
  }

  /** What is in the log already may be committed by the next leader. */
  leadershipLost(notLeader: NotLeaderError): void {
    const unknown =
      "leadership was lost before the change was committed: " +
      "it may have been made, or not; look before you repeat it";
    this.#rejectPending(new UnavailableError(unknown, { cause: notLeader }));
    this.rejectAll(notLeader);
  }

  rejectAll(error: Error): void {
    this.#rejectPending(error);
    const unsent = this.#unsent;
    this.#unsent = [];
    for (const { proposer } of unsent) proposer.reject(error);
  }

  #rejectPending(error: Error): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { proposer } of pending) proposer.reject(error);
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
      for (const { proposer } of batch) proposer.reject(error);
    }
    return true;
  }

  #add(at: LogPoint, proposer: Proposer): void {
    // A later leadership may reuse an index whose entry never was committed.
    this.#pending.get(at.index)?.proposer.reject(new NotLeaderError("the proposed entry was replaced"));
    this.#pending.set(at.index, { term: at.term, proposer, sinceMs: this.#options.meters?.nowMs() ?? 0 });
  }
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
