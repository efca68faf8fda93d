/**
 * Turns: one call after the other, in the order asked; a failed one does not stop the next.
 * Pure (time by `Clock`). Invariant: at most one call works at a time, and calls in a queue hold the event
 * loop no longer than HOLD_MAX_MS before others have a turn.
 * Source: docs/design/network.md ("Parts").
 */
import type { Clock } from "../base/clock/clock.js";

/** How long the calls in a queue may hold the event loop before others have a turn. */
const HOLD_MAX_MS = 10;

export class Turns {
  readonly #clock: Clock;
  #length = 0;
  #heldSinceMs = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Settles as `work` does. */
  take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#length === 0) this.#heldSinceMs = this.#clock.monotonicMs();
    this.#length += 1;
    const turn = this.#last.then(async () => {
      if (this.#clock.monotonicMs() - this.#heldSinceMs > HOLD_MAX_MS) {
        await this.#clock.sleep(0);
        this.#heldSinceMs = this.#clock.monotonicMs();
      }
      return work();
    });
    const settle = (): void => {
      this.#length -= 1;
    };
    this.#last = turn.then(settle, settle); // a failure is its caller's
    return turn;
  }

  /** When all that was asked until now is done. Never rejects. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
