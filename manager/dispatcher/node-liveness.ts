/**
 * Who has to be heard, and by when: a heap of deadlines of nodes that nobody vouches for.
 * Pure. Invariants: a node has one deadline at most; setting, dropping and finding the next costs O(log n),
 * and nodes that are vouched for cost nothing.
 */
interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly nodeId: string;
}

export class NodeLiveness {
  /** A binary heap, earliest first; entries that were replaced or dropped are passed over. */
  readonly #heap: Entry[] = [];
  readonly #current = new Map<string, Entry>();
  #order = 0;

  has(nodeId: string): boolean {
    return this.#current.has(nodeId);
  }

  nodeIds(): Iterable<string> {
    return this.#current.keys();
  }

  /** The node must be heard before. A later call counts. */
  await(nodeId: string, atMs: number): void {
    const entry = { atMs, order: this.#order++, nodeId };
    this.#current.set(nodeId, entry);
    this.#push(entry);
  }

  /** It was heard, or is gone. */
  drop(nodeId: string): void {
    this.#current.delete(nodeId);
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#current.size) this.#rebuild();
  }

  /** The next deadline; undefined: there is none. */
  get nextMs(): number | undefined {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (this.#current.get(first.nodeId) === first) return first.atMs;
      this.#pop();
    }
    return undefined;
  }

  /** Takes out those whose time is over, in order of their deadlines. */
  takeDue(nowMs: number): readonly string[] {
    const due: string[] = [];
    for (let next = this.nextMs; next !== undefined && next <= nowMs; next = this.nextMs) {
      const entry = this.#pop();
      if (entry === undefined) break;
      this.#current.delete(entry.nodeId);
      due.push(entry.nodeId);
    }
    return due;
  }

  /** Dropped entries would fill the memory of a leader that is never left in peace. */
  #rebuild(): void {
    this.#heap.length = 0;
    for (const entry of this.#current.values()) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
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
    return first;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
