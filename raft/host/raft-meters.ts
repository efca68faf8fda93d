/**
 * What a member counts while it works: leaders seen, latency of commits and of log syncs.
 * Pure over the clock. Invariant: measuring never waits and never throws; memory does not grow.
 */
import type { Clock } from "../../base/clock/clock.js";
import { Histogram } from "../../base/metrics/histogram.js";
import type { RaftId } from "../core/types.js";

export class RaftMeters {
  /** From the proposal on the leader to its apply there, in seconds. */
  readonly commitSeconds = new Histogram();
  /** Of one group of log records, in seconds. */
  readonly syncSeconds = new Histogram();
  readonly #clock: Clock;
  readonly #startedMs: number;
  #leader: RaftId = 0;
  #leaderChanges = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  get leaderChanges(): number {
    return this.#leaderChanges;
  }

  get uptimeMs(): number {
    return this.#clock.monotonicMs() - this.#startedMs;
  }

  /** Being without a leader for a while is no change; another leader is, and so is the first. */
  noteLeader(leader: RaftId): void {
    if (leader === 0 || leader === this.#leader) return;
    this.#leader = leader;
    this.#leaderChanges += 1;
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  committed(sinceMs: number): void {
    this.commitSeconds.observe((this.#clock.monotonicMs() - sinceMs) / 1_000);
  }

  synced(sinceMs: number): void {
    this.syncSeconds.observe((this.#clock.monotonicMs() - sinceMs) / 1_000);
  }
}
