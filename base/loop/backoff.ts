/**
 * Growing pauses with jitter for retries. Pure.
 */
import type { Random } from "../random/random.js";

export interface BackoffOptions {
  /** First pause, milliseconds. @default 100 */
  readonly initialMs?: number;
  /** Longest pause, milliseconds. @default 8000 */
  readonly maxMs?: number;
  /** Growth per attempt. @default 2 */
  readonly factor?: number;
}

export class Backoff {
  readonly #random: Random;
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #factor: number;
  #attempts = 0;

  constructor(random: Random, options: BackoffOptions = {}) {
    this.#random = random;
    this.#initialMs = options.initialMs ?? 100;
    this.#maxMs = options.maxMs ?? 8_000;
    this.#factor = options.factor ?? 2;
  }

  /** @returns the next pause in milliseconds: between half and all of the current step. */
  nextMs(): number {
    const step = Math.min(this.#maxMs, this.#initialMs * this.#factor ** this.#attempts);
    this.#attempts += 1;
    return step / 2 + this.#random.float() * (step / 2);
  }

  /** Starts over after a success. */
  reset(): void {
    this.#attempts = 0;
  }
}
