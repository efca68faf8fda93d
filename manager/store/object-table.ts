/**
 * One table in memory: objects by id, in order of id, and by their secondary keys.
 * Pure. Invariant: an object is in exactly the buckets that `keysOf` names for it, and in its newest version.
 */
import { type Identified, lowerBound, SortedBucket } from "./sorted-bucket.js";

export class ObjectTable<T extends Identified> {
  readonly #keysOf: (object: T) => readonly string[];
  readonly #byId = new Map<string, T>();
  readonly #buckets = new Map<string, SortedBucket<T>>();
  /** Sorted ids as of the last `values`; `#added` came since. Sorting late keeps bulk creation linear. */
  #order: string[] = [];
  #added: string[] = [];
  #removed = 0;
  #values: readonly T[] | undefined;
  /** Highest id that was ever put. While each new one was higher, `#byId` itself is in order. */
  #highest = "";
  #isMapInOrder = true;

  constructor(keysOf: (object: T) => readonly string[]) {
    this.#keysOf = keysOf;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): T | undefined {
    return this.#byId.get(id);
  }

  put(object: T): void {
    const before = this.#byId.get(object.id);
    this.#byId.set(object.id, object);
    this.#values = undefined;
    const keys = this.#keysOf(object);
    if (before === undefined) {
      this.#noteAdded(object.id);
    } else {
      for (const key of this.#keysOf(before)) {
        if (!keys.includes(key)) this.#dropFrom(key, object.id);
      }
    }
    for (const key of keys) {
      const bucket = this.#buckets.get(key);
      if (bucket !== undefined) {
        bucket.put(object);
      } else {
        const fresh = new SortedBucket<T>();
        fresh.put(object);
        this.#buckets.set(key, fresh);
      }
    }
  }

  delete(id: string): void {
    const before = this.#byId.get(id);
    if (before === undefined) return;
    this.#byId.delete(id);
    this.#removed += 1;
    this.#values = undefined;
    for (const key of this.#keysOf(before)) this.#dropFrom(key, id);
  }

  /** Objects under a secondary key, in order of id. */
  bucket(key: string): readonly T[] {
    return this.#buckets.get(key)?.values() ?? [];
  }

  /** All objects in order of id. */
  values(): readonly T[] {
    if (this.#values === undefined && this.#isMapInOrder) this.#values = [...this.#byId.values()];
    if (this.#values === undefined) {
      this.#settleOrder();
      const values: T[] = [];
      for (const id of this.#order) {
        const object = this.#byId.get(id);
        if (object !== undefined) values.push(object);
      }
      this.#values = values;
    }
    return this.#values;
  }

  /** Objects whose id begins with `prefix`, in order of id. */
  withPrefix(prefix: string): readonly T[] {
    const values = this.values();
    const start = lowerBound(values, prefix);
    let end = start;
    while (values[end]?.id.startsWith(prefix) === true) end += 1;
    return values.slice(start, end);
  }

  /** What comes in order, as a stored state does when it is loaded, needs no sorting. */
  #noteAdded(id: string): void {
    if (id > this.#highest) this.#highest = id;
    else this.#isMapInOrder = false;
    const last = this.#order.at(-1);
    const isInOrder = this.#added.length === 0 && this.#removed === 0 && (last === undefined || last < id);
    (isInOrder ? this.#order : this.#added).push(id);
  }

  #dropFrom(key: string, id: string): void {
    const bucket = this.#buckets.get(key);
    bucket?.delete(id);
    if (bucket?.size === 0) this.#buckets.delete(key);
  }

  #settleOrder(): void {
    if (this.#added.length === 0 && this.#removed === 0) return;
    // An id removed and created again stands in both lists: the set keeps one.
    const added = [...new Set(this.#added)].filter((id) => this.#byId.has(id)).sort();
    const fresh = new Set(added);
    const kept =
      this.#removed === 0 ? this.#order : this.#order.filter((id) => this.#byId.has(id) && !fresh.has(id));
    this.#order = merge(kept, added);
    this.#added = [];
    this.#removed = 0;
  }
}

function merge(left: readonly string[], right: readonly string[]): string[] {
  const out: string[] = [];
  let l = 0;
  let r = 0;
  for (;;) {
    const a = left[l];
    const b = right[r];
    if (a === undefined && b === undefined) return out;
    if (b === undefined || (a !== undefined && a < b)) {
      if (a !== undefined) out.push(a);
      l += 1;
    } else {
      out.push(b);
      r += 1;
    }
  }
}
