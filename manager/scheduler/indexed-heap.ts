/**
 * A binary heap of small integers with a number as key, lowest key first, then lowest integer. It knows where
 * each is, so that a key can change in place.
 * Pure. Invariants: `positions[items[i]] === i`, and -1 for what is not inside; no child is before its
 * parent. Heaps whose integers are disjoint can share one `HeapSpace`.
 */

const ABSENT = -1;

/** Keys and positions, by integer. */
export class HeapSpace {
  keys: Float64Array;
  positions: Int32Array;

  constructor(capacity: number) {
    this.keys = new Float64Array(capacity);
    this.positions = new Int32Array(capacity).fill(ABSENT);
  }

  reserve(capacity: number): void {
    if (capacity <= this.keys.length) return;
    const grown = Math.max(capacity, this.keys.length * 2);
    const [keys, positions] = [new Float64Array(grown), new Int32Array(grown).fill(ABSENT)];
    keys.set(this.keys);
    positions.set(this.positions);
    this.keys = keys;
    this.positions = positions;
  }
}

export class IndexedHeap {
  readonly #space: HeapSpace;
  readonly #items: number[] = [];

  constructor(space: HeapSpace) {
    this.#space = space;
  }

  get size(): number {
    return this.#items.length;
  }

  has(item: number): boolean {
    return (this.#space.positions[item] ?? ABSENT) !== ABSENT;
  }

  /** The first; undefined when empty. */
  peek(): number | undefined {
    return this.#items[0];
  }

  /** Puts it in, or gives it another key. */
  set(item: number, key: number): void {
    const { keys, positions } = this.#space;
    const at = positions[item] ?? ABSENT;
    if (at === ABSENT) {
      keys[item] = key;
      this.#rise(this.#items.push(item) - 1, item);
      return;
    }
    const before = keys[item] ?? 0;
    if (key === before) return;
    keys[item] = key;
    if (key < before) this.#rise(at, item);
    else this.#sink(at, item);
  }

  /** Does nothing when it is not inside. */
  remove(item: number): void {
    const { positions } = this.#space;
    const at = positions[item] ?? ABSENT;
    if (at === ABSENT) return;
    positions[item] = ABSENT;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#sink(at, last);
    if (this.#items[at] === last) this.#rise(at, last);
  }

  #before(a: number, b: number): boolean {
    const { keys } = this.#space;
    const [x, y] = [keys[a] ?? 0, keys[b] ?? 0];
    return x === y ? a < b : x < y;
  }

  /** @param at a free place, or the item's own. */
  #rise(at: number, item: number): void {
    const { positions } = this.#space;
    let place = at;
    while (place > 0) {
      const up = (place - 1) >> 1;
      const parent = this.#items[up] ?? item;
      if (!this.#before(item, parent)) break;
      this.#items[place] = parent;
      positions[parent] = place;
      place = up;
    }
    this.#items[place] = item;
    positions[item] = place;
  }

  #sink(at: number, item: number): void {
    const { positions } = this.#space;
    const { length } = this.#items;
    let place = at;
    for (;;) {
      const left = 2 * place + 1;
      if (left >= length) break;
      const right = left + 1;
      let child = this.#items[left] ?? item;
      let down = left;
      const other = this.#items[right];
      if (other !== undefined && this.#before(other, child)) [child, down] = [other, right];
      if (!this.#before(child, item)) break;
      this.#items[place] = child;
      positions[child] = place;
      place = down;
    }
    this.#items[place] = item;
    positions[item] = place;
  }
}
