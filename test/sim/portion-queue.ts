/**
 * The portions of a snapshot between a sender and a receiver in simulated time. Pure. One reader; ends once,
 * well or badly. Bound: the sender puts the next one only after the last has arrived.
 */
import type { KeyValuePair } from "../../raft/host/raft-node.js";

type Portion = readonly KeyValuePair[];

export class PortionQueue implements AsyncIterable<Portion> {
  readonly #portions: Portion[] = [];
  #end: { readonly error: unknown } | "done" | undefined;
  #wake: (() => void) | undefined;

  put(portion: Portion): void {
    this.#portions.push(portion);
    this.#wake?.();
  }

  end(): void {
    this.#end ??= "done";
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Portion> {
    for (;;) {
      const portion = this.#portions.shift();
      if (portion !== undefined) {
        yield portion;
      } else if (this.#end === "done") {
        return;
      } else if (this.#end !== undefined) {
        throw this.#end.error;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
