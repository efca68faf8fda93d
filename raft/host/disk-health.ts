/**
 * Whether the log's syncs come back in time. Pure over the clock.
 * Invariant: slow from the first sync that takes a second, while it runs already, until three in a row
 * were quick. What it takes to hand leadership over is asked separately: another member must be quicker.
 */
import type { Clock } from "../../base/clock/clock.js";

/** A sync that takes so long is trouble worth telling. */
const SLOW_MS = 1_000;
/** Three of at most so much each, and the trouble is over. */
const QUICK_MS = 500;
const QUICK_SYNCS = 3;
/**
 * While the leader's sync runs, its heartbeats may wait: it hands over before the first follower's election
 * timeout, which is a second.
 */
const HAND_OVER_MS = 800;

export class DiskHealth {
  readonly #clock: Clock;
  #running: { readonly sinceMs: number; readonly lastIndex: number } | undefined;
  #slowMs = 0;
  #quickSyncs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param lastIndex of the entries that it makes durable; 0: none. */
  syncBegan(lastIndex: number): void {
    this.#running = { sinceMs: this.#clock.monotonicMs(), lastIndex };
  }

  syncEnded(): void {
    const tookMs = this.#runningMs;
    this.#running = undefined;
    if (tookMs >= SLOW_MS) {
      this.#slowMs = tookMs;
      this.#quickSyncs = 0;
    } else if (this.#slowMs > 0) {
      this.#quickSyncs = tookMs <= QUICK_MS ? this.#quickSyncs + 1 : 0;
      if (this.#quickSyncs >= QUICK_SYNCS) this.#slowMs = 0;
    }
  }

  /** undefined: nothing to tell. */
  get trouble(): string | undefined {
    const runningMs = this.#runningMs;
    if (runningMs >= SLOW_MS) return `the log's sync has been running for ${seconds(runningMs)}`;
    return this.#slowMs > 0 ? `the log's sync takes ${seconds(this.#slowMs)}` : undefined;
  }

  /** The entries that a sync has held for so long that who has them on disk should lead; undefined: none. */
  get heldIndex(): number | undefined {
    const lastIndex = this.#running?.lastIndex ?? 0;
    return lastIndex > 0 && this.#runningMs >= HAND_OVER_MS ? lastIndex : undefined;
  }

  get #runningMs(): number {
    return this.#running === undefined ? 0 : this.#clock.monotonicMs() - this.#running.sinceMs;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
