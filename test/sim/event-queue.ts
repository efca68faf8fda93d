/**
 * Simulated time: events run in order of their instant, then of their making. Pure.
 * Invariant: time never goes back, and equal inputs give an equal order.
 */
interface Event {
  readonly at: number;
  readonly sequence: number;
  readonly run: () => void;
}

export class EventQueue {
  /** A binary heap. */
  readonly #heap: Event[] = [];
  #sequence = 0;
  #now = 0;

  /** Simulated milliseconds since the start. */
  get now(): number {
    return this.#now;
  }

  /** @param delayMs >= 0. */
  after(delayMs: number, run: () => void): void {
    const event = { at: this.#now + delayMs, sequence: this.#sequence++, run };
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  /** Runs the next event unless it lies beyond `untilMs`. @returns whether one ran. */
  runNext(untilMs: number): boolean {
    const next = this.#heap[0];
    if (next === undefined || next.at > untilMs) {
      this.#now = Math.max(this.#now, untilMs);
      return false;
    }
    this.#removeFirst();
    this.#now = next.at;
    next.run();
    return true;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      const right = heap[child + 1];
      if (below !== undefined && right !== undefined && isBefore(right, below)) {
        child += 1;
        below = right;
      }
      if (below === undefined || !isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}
