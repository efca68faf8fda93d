/**
 * Callbacks that hear the present value at once and every later one.
 * Pure. Invariant: one listener's exception reaches the log, never the others or the caller.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";

export class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>();
  readonly #log: Logger;
  #value: T;

  constructor(initial: T, log: Logger) {
    this.#value = initial;
    this.#log = log;
  }

  get value(): T {
    return this.#value;
  }

  /** @returns unsubscribe. */
  add(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    this.#call(listener, this.#value);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  tell(value: T): void {
    this.#value = value;
    for (const listener of [...this.#listeners]) this.#call(listener, value);
  }

  #call(listener: (value: T) => void, value: T): void {
    try {
      listener(value);
    } catch (error) {
      this.#log.error("a listener of the raft node failed", { error: messageOf(error) });
    }
  }
}
