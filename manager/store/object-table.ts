/**
 * One table in memory: objects by id, in order of id, and by their secondary keys.
 * Pure. Invariant: an object is in exactly the buckets that `keysOf` names for it, and in its newest version.
 */
import { type Cell, type Identified, lowerBound, SortedBucket } from "./sorted-bucket.js";

export interface ObjectTableOptions<T> {
  readonly keysOf: (object: T) => readonly string[];
  /** True only when both surely have the same keys: then they are not asked for. @default never */
  readonly haveSameKeys?: (before: T, after: T) => boolean;
}

export class ObjectTable<T extends Identified> {
  readonly #options: ObjectTableOptions<T>;
  readonly #cells = new Map<string, Cell<T>>();
  readonly #all = new SortedBucket<T>("");
  readonly #buckets = new Map<string, SortedBucket<T>>();

  constructor(options: ObjectTableOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#cells.size;
  }

  get(id: string): T | undefined {
    return this.#cells.get(id)?.object;
  }

  put(object: T): void {
    const cell = this.#cells.get(object.id);
    if (cell === undefined) {
      this.#add(object);
      return;
    }
    const before = cell.object;
    cell.object = object;
    this.#all.touch();
    if (this.#options.haveSameKeys?.(before, object) !== true) this.#move(cell);
    for (const bucket of cell.buckets) bucket.touch();
  }

  delete(id: string): void {
    const cell = this.#cells.get(id);
    if (cell === undefined) return;
    this.#cells.delete(id);
    this.#all.remove(cell);
    for (const bucket of cell.buckets) this.#leave(bucket, cell);
  }

  /** Objects under a secondary key, in order of id. */
  bucket(key: string): readonly T[] {
    return this.#buckets.get(key)?.values() ?? [];
  }

  /** All objects in order of id. */
  values(): readonly T[] {
    return this.#all.values();
  }

  /** Objects whose id begins with `prefix`, in order of id. */
  withPrefix(prefix: string): readonly T[] {
    const values = this.values();
    const start = lowerBound(values, prefix);
    let end = start;
    while (values[end]?.id.startsWith(prefix) === true) end += 1;
    return values.slice(start, end);
  }

  #add(object: T): void {
    const cell: Cell<T> = { id: object.id, object, buckets: [] };
    this.#cells.set(object.id, cell);
    this.#all.add(cell);
    cell.buckets = this.#options.keysOf(object).map((key) => this.#join(key, cell));
  }

  /** Its keys may be others now. */
  #move(cell: Cell<T>): void {
    const keys = this.#options.keysOf(cell.object);
    const { buckets } = cell;
    if (keys.length === buckets.length && keys.every((key, at) => buckets[at]?.key === key)) return;
    cell.buckets = keys.map((key) => buckets.find((bucket) => bucket.key === key) ?? this.#join(key, cell));
    for (const bucket of buckets) if (!cell.buckets.includes(bucket)) this.#leave(bucket, cell);
  }

  #join(key: string, cell: Cell<T>): SortedBucket<T> {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new SortedBucket<T>(key);
      this.#buckets.set(key, bucket);
    }
    bucket.add(cell);
    return bucket;
  }

  #leave(bucket: SortedBucket<T>, cell: Cell<T>): void {
    bucket.remove(cell);
    if (bucket.size === 0) this.#buckets.delete(bucket.key);
  }
}
