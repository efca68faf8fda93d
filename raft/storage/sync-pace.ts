/**
 * Whether the next durable write may be waited for in this thread, instead of in a thread of the pool.
 * Pure. On a disk that syncs in a fraction of a millisecond the way to the pool and back costs more than
 * the sync itself, and on the critical path of every write: the follower's.
 *
 * Invariant: only what recent writes were quick enough for is done in this thread. One write beyond
 * HOLD_MS_MAX sends the next ones to the pool at once, and twice as many of them each time, so that a
 * disk that is slow now and then holds the event loop ever more seldom; one that stalls, hardly ever
 * again.
 * Source: docs/adr/0019-sync-in-the-event-loop.md.
 */

/** A tenth of what may hold the event loop. */
const HOLD_MS_MAX = 2;
/** A stall: what nothing may hold the event loop for. */
const STALL_MS = 20;
/** Larger writes take longer than what is known of small ones. */
const BYTES_MAX = 64 * 1024;
/**
 * Quick writes through the pool that are asked for before the first in this thread, after slow ones, after
 * a stall.
 */
const TRIAL_WRITES = { first: 8, slowMax: 256, stalled: 4_096 } as const;
/** Quick writes in this thread after which slow ones are forgiven. */
const FORGIVEN_AFTER = 1_000;

export class SyncPace {
  #trialWrites: number = TRIAL_WRITES.first;
  #quickInARow = 0;
  #inThread = false;

  /** A disk that would be held up by such a write is better waited for elsewhere. */
  mayHold(bytes: number): boolean {
    return this.#inThread && bytes <= BYTES_MAX;
  }

  /** What the newest write took, wherever it was waited for. */
  note(tookMs: number): void {
    if (tookMs > HOLD_MS_MAX) {
      if (this.#inThread) this.#trialWrites = trialAfter(this.#trialWrites, tookMs);
      this.#inThread = false;
      this.#quickInARow = 0;
      return;
    }
    this.#quickInARow += 1;
    if (this.#inThread) {
      if (this.#quickInARow >= FORGIVEN_AFTER) this.#trialWrites = TRIAL_WRITES.first;
    } else if (this.#quickInARow >= this.#trialWrites) {
      this.#inThread = true;
      this.#quickInARow = 0;
    }
  }
}

function trialAfter(before: number, tookMs: number): number {
  if (tookMs > STALL_MS) return TRIAL_WRITES.stalled;
  return Math.max(before, Math.min(before * 2, TRIAL_WRITES.slowMax));
}
