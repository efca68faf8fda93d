/**
 * Objects in order of id. A bucket holds cells, one per object of its table, so that a new version of an
 * object costs each of its buckets a mark and no search.
 * Pure. Invariant: `values` is strictly ascending by id, and an array handed out never changes.
 * Cost: insertion and removal are constant; the next `values` sorts what came since and copies the rest.
 */

export interface Identified {
  readonly id: string;
}

/** An object of a table in its newest version, and the buckets it is in. */
export interface Cell<T extends Identified> {
  readonly id: string;
  object: T;
  buckets: readonly SortedBucket<T>[];
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

function byId(a: Identified, b: Identified): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Cells sorted at once. */
const RUN_LENGTH = 1_024;
const NO_RUNS: never[] = [];

export class SortedBucket<T extends Identified> {
  /** The secondary key whose objects these are. */
  readonly key: string;
  /** In order of id, save for `#added` and `#removed`, which came since. */
  #cells: Cell<T>[] = [];
  #added: Set<Cell<T>> | undefined;
  /** Earlier ones of `#added`, sorted in runs of falling length, so that nobody sorts a hundred thousand at once. */
  #runs: Cell<T>[][] = NO_RUNS;
  #inRuns = 0;
  #removed: Set<Cell<T>> | undefined;
  #values: readonly T[] | undefined;

  constructor(key: string) {
    this.key = key;
  }

  get size(): number {
    return this.#cells.length + this.#inRuns + (this.#added?.size ?? 0) - (this.#removed?.size ?? 0);
  }

  /** @param cell one that is not in the bucket. */
  add(cell: Cell<T>): void {
    this.#values = undefined;
    const last = this.#cells.at(-1);
    const isInOrder =
      this.#added === undefined && this.#inRuns === 0 && (last === undefined || last.id < cell.id);
    if (isInOrder)
      this.#cells.push(cell); // the way a restore in order of id fills the bucket
    else if (this.#removed?.delete(cell) !== true) {
      this.#added ??= new Set();
      this.#added.add(cell);
      if (this.#added.size >= RUN_LENGTH) this.#makeRun(this.#added);
    }
  }

  /** @param cell one that is in the bucket. */
  remove(cell: Cell<T>): void {
    this.#values = undefined;
    if (this.#added?.delete(cell) === true) return;
    this.#removed ??= new Set();
    this.#removed.add(cell);
  }

  /** One of the cells has a new object. */
  touch(): void {
    this.#values = undefined;
  }

  /** In order of id; the array stays as it is whatever happens later. */
  values(): readonly T[] {
    if (this.#values === undefined) {
      this.#settle();
      this.#values = this.#cells.map((cell) => cell.object);
    }
    return this.#values;
  }

  /** Runs of about the same length are merged, so that there are few and each cell is merged seldom. */
  #makeRun(added: ReadonlySet<Cell<T>>): void {
    let run = [...added].sort(byId);
    this.#added = undefined;
    this.#inRuns += run.length;
    if (this.#runs === NO_RUNS) this.#runs = [];
    for (;;) {
      const before = this.#runs.at(-1);
      if (before === undefined || before.length > 2 * run.length) break;
      this.#runs.pop();
      run = merge(before, run);
    }
    this.#runs.push(run);
  }

  #settle(): void {
    if (this.#added !== undefined && this.#added.size > 0) this.#makeRun(this.#added);
    if (this.#inRuns > 0) {
      const added = this.#runs.reduceRight((shorter, longer) => merge(longer, shorter));
      this.#cells = merge(this.#cells, added);
      this.#runs = NO_RUNS;
      this.#inRuns = 0;
    }
    const removed = this.#removed;
    if (removed !== undefined && removed.size > 0) {
      this.#cells = this.#cells.filter((cell) => !removed.has(cell));
    }
    this.#added = undefined;
    this.#removed = undefined;
  }
}

function merge<T extends Identified>(left: readonly T[], right: readonly T[]): T[] {
  const [last, first] = [left.at(-1), right[0]];
  if (last === undefined) return [...right];
  if (first === undefined || last.id < first.id) return [...left, ...right];
  const out: T[] = [];
  let l = 0;
  let r = 0;
  for (;;) {
    const a = left[l];
    const b = right[r];
    if (a === undefined && b === undefined) return out;
    if (b === undefined || (a !== undefined && a.id < b.id)) {
      if (a !== undefined) out.push(a);
      l += 1;
    } else {
      out.push(b);
      r += 1;
    }
  }
}
