/**
 * The loop of a component: wake-ups that arrive while a pass runs are merged into the next pass.
 * Pure. Invariants: never two passes at once; a wake-up is never lost; after `close` no pass begins.
 */
import { messageOf } from "../errors/errors.js";
import type { Logger } from "../log/logger.js";

export interface ComponentLoopOptions {
  readonly name: string;
  readonly log: Logger;
  /** One pass over whatever is due. An error is logged, and the loop goes on at the next wake-up. */
  readonly pass: (signal: AbortSignal) => Promise<void> | void;
}

export class ComponentLoop {
  readonly #options: ComponentLoopOptions;
  readonly #abort = new AbortController();
  #pending = false;
  #running: Promise<void> | undefined;

  constructor(options: ComponentLoopOptions) {
    this.#options = options;
  }

  /** Asks for a pass soon: at once when idle, else after the running one. */
  wake(): void {
    if (this.#abort.signal.aborted) return;
    this.#pending = true;
    this.#running ??= this.#run();
  }

  /** Resolves when no pass runs and none is due. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Stops; waits for the running pass. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // let the caller's turn finish: what it does next joins this pass
    while (this.#pending && !this.#abort.signal.aborted) {
      this.#pending = false;
      try {
        await this.#options.pass(this.#abort.signal);
      } catch (error) {
        if (!this.#abort.signal.aborted) {
          this.#options.log.error("loop pass failed", { loop: this.#options.name, error: messageOf(error) });
        }
      }
    }
    this.#running = undefined;
  }
}
