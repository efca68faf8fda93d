/**
 * Waiting for a condition of the node, measured in ticks.
 * Pure. Invariant: every wait ends: by its condition, its bound, or the node's stop.
 */
interface Wait {
  readonly reached: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly timeout: () => Error | undefined;
  ticksLeft: number;
}

export class TickWaits {
  readonly #waits = new Set<Wait>();
  #stopped: Error | undefined;

  /**
   * Resolves once `reached` answers true.
   * @throws what `timeout` makes after `ticks` (nothing: it resolves all the same); the node's error when it
   * stops.
   */
  until(reached: () => boolean, options: { ticks: number; timeout: () => Error | undefined }): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    if (reached()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const { ticks, timeout } = options;
      this.#waits.add({ reached, resolve, reject, timeout, ticksLeft: ticks });
    });
  }

  /** Something changed: look at the conditions again. */
  check(): void {
    for (const wait of this.#waits) {
      if (!wait.reached()) continue;
      this.#waits.delete(wait);
      wait.resolve();
    }
  }

  tick(): void {
    this.check();
    for (const wait of this.#waits) {
      wait.ticksLeft -= 1;
      if (wait.ticksLeft > 0) continue;
      this.#waits.delete(wait);
      const error = wait.timeout();
      if (error === undefined) wait.resolve();
      else wait.reject(error);
    }
  }

  stop(error: Error): void {
    this.#stopped = error;
    for (const wait of this.#waits) wait.reject(error);
    this.#waits.clear();
  }
}
