/**
 * A clock that moves only when told to: the twin of the system clock for tests and simulation.
 * Pure. Invariant: timers fire in order of due time, then of creation.
 */
import { CancelledError } from "../errors/errors.js";
import type { Clock, Timer } from "./clock.js";

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly fire: () => void;
  cancelled: boolean;
}

export class ManualClock implements Clock {
  #nowMs: number;
  #order = 0;
  #due: Due[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const due: Due = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#order++,
      fire,
      cancelled: false,
    };
    this.#due.push(due);
    return {
      cancel: () => {
        due.cancelled = true;
      },
    };
  }

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
      const timer = this.setTimer(delayMs, resolve);
      signal?.addEventListener(
        "abort",
        () => {
          timer.cancel();
          reject(new CancelledError("sleep was cancelled"));
        },
        { once: true },
      );
    });
  }

  /** Moves time forward, firing what falls due on the way, also timers that fired timers set. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      this.#due = this.#due.filter((due) => !due.cancelled);
      const next = this.#due
        .filter((due) => due.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
      if (next === undefined) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.fire();
    }
    this.#nowMs = untilMs;
  }

  /** Timers that wait to fire. */
  get pendingCount(): number {
    return this.#due.filter((due) => !due.cancelled).length;
  }
}
