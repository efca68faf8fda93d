/**
 * The trace of a run: a running hash of everything that happened,
 * and its text when somebody reads along. Pure.
 * Invariant: the hash does not depend on whether the text is kept.
 */
import { describeMessage } from "../../raft/core/message.js";
import type { RaftMessage } from "../../raft/core/types.js";
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

  /** The fate of a message: what happens most, and so without anything made for it. */
  noteMessage(message: RaftMessage, isDelivered: boolean): void {
    this.#mix(Math.round(this.#queue.now * 1000));
    this.#mix(message.from);
    this.#mix(message.to);
    this.#mix(message.term);
    this.#mix(message.index);
    this.#mix(message.entries.length);
    this.#mix(message.commit);
    this.#mix(isDelivered ? 1 : 0);
    if (this.#print === undefined) return;
    const fate = isDelivered ? "recv" : "lost";
    this.#print(`${this.#queue.now.toFixed(1).padStart(9)} ${fate} ${describeMessage(message)}`);
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
