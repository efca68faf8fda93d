/**
 * A first-in first-out queue with a bound, read by one async consumer.
 * Pure. At the bound `push` answers false and changes nothing: the producer waits,
 * refuses or closes its own stream.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #capacityMax: number;
  #items: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #error: unknown;

  constructor(options: { capacityMax: number }) {
    this.#capacityMax = options.capacityMax;
  }

  get size(): number {
    return this.#items.length;
  }

  /** @returns false when full or ended. */
  push(item: T): boolean {
    if (this.#ended || this.#items.length >= this.#capacityMax) return false;
    this.#items.push(item);
    this.#notify();
    return true;
  }

  /** No more items: the consumer gets what is queued, then the end, or the error. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#notify();
  }

  /** Everything queued now, without waiting. */
  drain(): T[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const items = this.drain();
      for (const item of items) yield item;
      if (this.#items.length > 0) continue;
      if (this.#ended) {
        if (this.#error !== undefined) throw this.#error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
