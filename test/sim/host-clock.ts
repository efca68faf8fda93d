/**
 * The clock of one simulated process: it drifts, its wall time jumps, and its timers stand still with it.
 * Pure. Invariant: monotonic time never goes back.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { CancelledError } from "../../base/errors/errors.js";
import type { EventQueue } from "./event-queue.js";
import type { HostLife } from "./host-life.js";

const EPOCH_MS = 1_700_000_000_000;

export class HostClock implements Clock {
  readonly #queue: EventQueue;
  readonly #life: HostLife;
  #rate: number;
  #sinceMs: number;
  #elapsedMs = 0;
  /** What the wall clock is ahead by: jumps, and what the machine slept through. */
  #jumpedMs = 0;

  constructor(queue: EventQueue, life: HostLife, rate: number) {
    this.#queue = queue;
    this.#life = life;
    this.#rate = rate;
    this.#sinceMs = queue.now;
  }

  /** From now on. @param rate 1 is right; 0: the machine sleeps, and only its wall clock goes on. */
  drift(rate: number): void {
    if (this.#rate === 0) this.#jumpedMs += this.#queue.now - this.#sinceMs;
    this.#elapsedMs = this.monotonicMs();
    this.#sinceMs = this.#queue.now;
    this.#rate = rate;
  }

  jump(byMs: number): void {
    this.#jumpedMs += byMs;
  }

  nowMs(): number {
    return EPOCH_MS + this.monotonicMs() + this.#jumpedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs + (this.#queue.now - this.#sinceMs) * this.#rate;
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    let isCancelled = false;
    this.#queue.after(Math.max(0, delayMs) / (this.#rate === 0 ? 1 : this.#rate), () => {
      this.#life.through(() => {
        if (!isCancelled) fire();
      });
    });
    return {
      cancel: () => {
        isCancelled = true;
      },
    };
  }

  /** A process that stood still gets one of the firings that it missed, as from Node's timers. */
  setInterval(periodMs: number, fire: () => void): Timer {
    let timer: Timer;
    const again = (): void => {
      timer = this.setTimer(periodMs, () => {
        again();
        fire();
      });
    };
    again();
    return { cancel: () => timer.cancel() };
  }

  sleep(delayMs: number, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(new CancelledError("sleep was cancelled before it began"));
        return;
      }
      const onAbort = (): void => {
        timer.cancel();
        reject(new CancelledError("sleep was cancelled"));
      };
      const timer = this.setTimer(delayMs, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}
