/**
 * The time by which leases and promises are measured (raft/core/lease.ts), in ticks. Pure over the clock.
 * Invariant: `elapsedTicks` never counts more time than has passed, but for the drift of the machine's
 * monotonic clock; `elapsedTicksMax` adds what that clock seems to have slept through: on Linux it stands
 * still while the machine is suspended, and the wall clock is put right when it wakes up. Where both stand
 * still, as in a virtual machine that is halted from outside, nobody inside can tell: see ADR 0012.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { LeaseReads } from "../core/types.js";

/** A wall clock this much ahead of the monotonic one within one look at both has not just been slewed. */
const GAP_MS = 20;

export class LeaseClock implements LeaseReads {
  readonly retiring: boolean;
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #startMs: number;
  #seenMs: number;
  #seenWallMs: number;
  #sleptMs = 0;

  constructor(clock: Clock, options: { readonly tickMs: number; readonly retiring: boolean }) {
    this.#clock = clock;
    this.#tickMs = options.tickMs;
    this.retiring = options.retiring;
    this.#startMs = clock.monotonicMs();
    this.#seenMs = this.#startMs;
    this.#seenWallMs = clock.nowMs();
  }

  readonly elapsedTicks = (): number => (this.#clock.monotonicMs() - this.#startMs) / this.#tickMs;

  readonly elapsedTicksMax = (): number => {
    const nowMs = this.#clock.monotonicMs();
    const wallMs = this.#clock.nowMs();
    const gapMs = wallMs - this.#seenWallMs - (nowMs - this.#seenMs);
    if (gapMs > GAP_MS) this.#sleptMs += gapMs;
    this.#seenMs = nowMs;
    this.#seenWallMs = wallMs;
    return (nowMs - this.#startMs + this.#sleptMs) / this.#tickMs;
  };
}
