/**
 * Entries that were proposed here and whose proposers wait for their apply.
 * Pure. Bound: the core refuses proposals when 16 MiB of them are uncommitted.
 * Invariant: each proposer hears exactly once; success only when the very entry (index and term) was applied here.
 */
import { CancelledError, NotLeaderError } from "../../base/errors/errors.js";
import type { LogPoint } from "../storage/entry-log.js";

export interface Proposer {
  readonly resolve: (at: LogPoint) => void;
  readonly reject: (error: unknown) => void;
}

export class PendingProposals {
  readonly #byIndex = new Map<number, { readonly term: number; readonly proposer: Proposer }>();

  get size(): number {
    return this.#byIndex.size;
  }

  add(at: LogPoint, proposer: Proposer): void {
    // A later leadership may reuse an index whose entry never was committed.
    this.#byIndex.get(at.index)?.proposer.reject(new NotLeaderError("the proposed entry was replaced"));
    this.#byIndex.set(at.index, { term: at.term, proposer });
  }

  applied(at: LogPoint): void {
    const pending = this.#byIndex.get(at.index);
    if (pending === undefined) return;
    this.#byIndex.delete(at.index);
    if (pending.term === at.term) pending.proposer.resolve(at);
    else pending.proposer.reject(new NotLeaderError("the proposed entry was replaced by another leader's"));
  }

  rejectAll(error: Error): void {
    const all = [...this.#byIndex.values()];
    this.#byIndex.clear();
    for (const { proposer } of all) proposer.reject(error);
  }
}

/** Makes a promise that a signal can end early; `start` gets the proposer to complete. */
export function cancellable(
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
