/**
 * The trace of a run: a running hash of everything that happened,
 * and its text when somebody reads along. Pure.
 * Invariant: the hash does not depend on whether the text is kept.
 */
import type { EventQueue } from "./event-queue.js";

export class SimTrace {
  readonly #queue: EventQueue;
  readonly #print: ((line: string) => void) | undefined;
  #high = 0x811c9dc5;
  #low = 0x9e3779b9;

  /** @param print gets each line; without it no text is made. */
  constructor(queue: EventQueue, print?: (line: string) => void) {
    this.#queue = queue;
    this.#print = print;
  }

  /** @param facts whatever tells this event from another one; `text` is made only when printed. */
  note(facts: readonly number[], text: () => string): void {
    this.#mix(Math.round(this.#queue.now * 1000));
    for (const fact of facts) this.#mix(fact);
    this.#print?.(`${this.#queue.now.toFixed(1).padStart(9)} ${text()}`);
  }

  /** 64 bits as hexadecimal text. */
  hash(): string {
    return [this.#high, this.#low].map((part) => (part >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ (value | 0), 0x01000193);
    this.#low = Math.imul((this.#low ^ (value | 0)) + 0x7f4a7c15, 0x85ebca6b);
    this.#low ^= this.#low >>> 13;
  }
}
