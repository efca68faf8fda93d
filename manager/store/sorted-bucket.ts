/**
 * Objects in order of id, as an array that is copied only when it was handed out before.
 * Pure. Invariant: `items` is strictly ascending by id, and an array handed out never changes.
 */

export interface Identified {
  readonly id: string;
}

/** @returns position of the first item whose id is not below `id`. */
export function lowerBound(items: readonly Identified[], id: string): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && item.id < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class SortedBucket<T extends Identified> {
  #items: T[] = [];
  #shared = false;

  get size(): number {
    return this.#items.length;
  }

  /** Inserts, or replaces the item of the same id. */
  put(item: T): void {
    const items = this.#own();
    const last = items[items.length - 1];
    if (last === undefined || last.id < item.id) {
      items.push(item); // the way a restore in order of id fills the bucket
      return;
    }
    const at = lowerBound(items, item.id);
    if (items[at]?.id === item.id) items[at] = item;
    else items.splice(at, 0, item);
  }

  delete(id: string): void {
    const at = lowerBound(this.#items, id);
    if (this.#items[at]?.id === id) this.#own().splice(at, 1);
  }

  /** In order of id; the array stays as it is whatever happens later. */
  values(): readonly T[] {
    this.#shared = true;
    return this.#items;
  }

  #own(): T[] {
    if (this.#shared) {
      this.#items = this.#items.slice();
      this.#shared = false;
    }
    return this.#items;
  }
}
