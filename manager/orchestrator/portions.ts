/**
 * Long lists gone through with chances to pause: a service may have a hundred thousand tasks, and nobody may
 * wait for all of them.
 * Pure. Invariant: the results are those of `filter` and of a stable `sort`.
 */

/** Items between two chances to pause: well below a millisecond. */
const PORTION_ITEMS = 256;
/** Items sorted at once. */
const RUN_LENGTH = 1_024;

export function* filterInPortions<T>(
  items: readonly T[],
  accepts: (item: T) => boolean,
): Generator<void, T[]> {
  const out: T[] = [];
  for (let at = 0; at < items.length; at++) {
    const item = items[at] as T; // at < items.length
    if (accepts(item)) out.push(item);
    if (at % PORTION_ITEMS === PORTION_ITEMS - 1) yield;
  }
  return out;
}

export function* sortInPortions<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, T[]> {
  let runs: T[][] = [];
  for (let from = 0; from < items.length; from += RUN_LENGTH) {
    runs.push(items.slice(from, from + RUN_LENGTH).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      const [left = [], right = []] = [runs[at], runs[at + 1]];
      merged.push(yield* merge(left, right, compare));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

function* merge<T>(
  left: readonly T[],
  right: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, T[]> {
  const out: T[] = [];
  let [l, r] = [0, 0];
  while (l < left.length || r < right.length) {
    // of equals the left one is first
    const fromLeft = r >= right.length || (l < left.length && compare(left[l] as T, right[r] as T) <= 0);
    out.push((fromLeft ? left[l++] : right[r++]) as T); // within its list
    if (out.length % PORTION_ITEMS === 0) yield;
  }
  return out;
}

/** Runs to the end without a pause, for short lists. */
export function atOnce<T>(portions: Generator<void, T>): T {
  for (let step = portions.next(); ; step = portions.next()) if (step.done === true) return step.value;
}
