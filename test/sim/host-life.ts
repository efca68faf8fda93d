/**
 * One life of a simulated process: what reaches it from outside goes through here. Pure. Invariant: nothing
 * reaches a dead process; what a standing one should get waits, in order, until it goes on.
 */
import type { EventQueue } from "./event-queue.js";

export class HostLife {
  readonly #queue: EventQueue;
  #isDead = false;
  #backlog: (() => void)[] | undefined;

  constructor(queue: EventQueue) {
    this.#queue = queue;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get isStanding(): boolean {
    return this.#backlog !== undefined;
  }

  /** Runs it now, later, or never. */
  through(run: () => void): void {
    if (this.#isDead) return;
    if (this.#backlog === undefined) run();
    else this.#backlog.push(run);
  }

  pause(): void {
    this.#backlog ??= [];
  }

  /** Each of what waited gets a turn of its own, as in an event loop. */
  resume(): void {
    const backlog = this.#backlog ?? [];
    this.#backlog = undefined;
    for (const run of backlog) this.#queue.after(0, () => this.through(run));
  }

  end(): void {
    this.#isDead = true;
    this.#backlog = undefined;
  }
}
