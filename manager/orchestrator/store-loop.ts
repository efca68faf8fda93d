/**
 * A control loop over the store: wakes at each commit that concerns it or when time comes,
 * takes everything that arrived meanwhile as one batch, and starts over from the whole state after a failure.
 * Pure. Invariants: never two passes at once; after a failed pass the next one sees `reset`;
 * after `close` nothing runs.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { codeOf, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { Random } from "../../base/random/random.js";
import type { Store, StoreChange, StoreWatch, TableName } from "../store/types.js";

export interface LoopInput {
  readonly changes: readonly StoreChange[];
  /** Look at everything anew: the first pass, after a snapshot, or after a failure. */
  readonly reset: boolean;
}

export interface StoreLoopOptions {
  readonly name: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly tables: readonly TableName[];
  /** @returns when to run again although nothing changed, ms since the epoch. */
  readonly pass: (input: LoopInput, signal: AbortSignal) => Promise<number | undefined>;
}

export class StoreLoop {
  readonly #options: StoreLoopOptions;
  readonly #loop: ComponentLoop;
  readonly #backoff: Backoff;
  #watch: StoreWatch | undefined;
  #reset = true;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: StoreLoopOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random, { initialMs: 50, maxMs: 5_000 });
    this.#loop = new ComponentLoop({
      name: options.name,
      log: options.log,
      pass: (signal) => this.#pass(signal),
    });
  }

  start(): void {
    if (this.#watch !== undefined || this.#closed) return;
    this.#watch = this.#options.store.watch({ tables: this.#options.tables, wake: () => this.#loop.wake() });
    this.#loop.wake();
  }

  /** Resolves when no pass runs and none is due; timers do not count. */
  idle(): Promise<void> {
    return this.#loop.idle();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watch?.close();
    this.#timer?.cancel();
    await this.#loop.close();
  }

  async #pass(signal: AbortSignal): Promise<void> {
    this.#timer?.cancel();
    const batches = this.#watch?.take() ?? [];
    const reset = this.#reset || batches.some((batch) => batch.reset);
    const changes = reset ? [] : batches.flatMap((batch) => batch.changes);
    this.#reset = true; // until the pass has succeeded
    let wakeAtMs: number | undefined;
    try {
      wakeAtMs = await this.#options.pass({ changes, reset }, signal);
    } catch (error) {
      if (signal.aborted) return;
      const fields = { loop: this.#options.name, error: messageOf(error) };
      if (codeOf(error) === "not-leader") this.#options.log.info("control loop waits for leadership", fields);
      else this.#options.log.warn("control loop failed and starts over", fields);
      this.#wakeIn(this.#backoff.nextMs());
      return;
    }
    this.#reset = false;
    this.#backoff.reset();
    if (wakeAtMs !== undefined) this.#wakeIn(wakeAtMs - this.#options.clock.nowMs());
  }

  #wakeIn(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.setTimer(Math.max(0, delayMs), () => this.#loop.wake());
  }
}
