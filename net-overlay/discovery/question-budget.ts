/**
 * How much one sandbox may ask outside: so many questions at a time, and so many a second.
 * Pure over a clock handed in. Invariants: what one sandbox asks takes nothing from another; a budget that
 * was left alone is full after BURST / PER_SECOND seconds.
 * Source: docs/design/network-discovery.md ("Bounds").
 */
import type { Clock } from "../../base/clock/clock.js";

/** Questions of one sandbox that wait for an answer from outside. */
export const FORWARDS_MAX = 256;
/** Questions a second that leave the node for one sandbox, beyond which it must wait. */
export const FORWARDS_PER_SECOND = 1_000;
export const FORWARDS_BURST = 2_000;

export class QuestionBudget {
  readonly #clock: Clock;
  #waiting = 0;
  #tokens = FORWARDS_BURST;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** @returns false when the sandbox must not ask now; true must be followed by `give`. */
  take(): boolean {
    const now = this.#clock.monotonicMs();
    this.#tokens = Math.min(
      FORWARDS_BURST,
      this.#tokens + ((now - this.#atMs) * FORWARDS_PER_SECOND) / 1_000,
    );
    this.#atMs = now;
    if (this.#waiting >= FORWARDS_MAX || this.#tokens < 1) return false;
    this.#tokens -= 1;
    this.#waiting += 1;
    return true;
  }

  give(): void {
    this.#waiting -= 1;
  }
}
