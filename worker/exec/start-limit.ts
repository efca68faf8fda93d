/**
 * A bound on what runs at once, first come first served.
 * Pure. Invariant: at most `concurrencyMax` run; a cancelled waiter leaves its place without running.
 */
import { CancelledError } from "../../base/errors/errors.js";

export class StartLimit {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(options: { concurrencyMax: number }) {
    this.#free = Math.max(1, options.concurrencyMax);
  }

  /** @throws {CancelledError} when the signal fires before its turn; else what `work` throws. */
  async run<T>(work: () => Promise<T>, options: { signal?: AbortSignal } = {}): Promise<T> {
    await this.#enter(options.signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next(); // the place passes on
    }
  }

  #enter(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(new CancelledError("cancelled before its turn"));
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        const at = this.#waiting.indexOf(enter);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(new CancelledError("cancelled before its turn"));
      };
      const enter = (): void => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#waiting.push(enter);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}
