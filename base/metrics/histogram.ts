/**
 * Counts of observed values in fixed buckets: what a histogram of Prometheus is made of.
 * Pure. Invariant: the counts add up to the number of observations; memory does not grow.
 */
export interface HistogramValues {
  /** Upper bounds, ascending; a value belongs to the first bound that is not below it. */
  readonly bounds: readonly number[];
  /** One more than bounds: the last is of what lies above them all. Not cumulative. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** Seconds, from a tenth of a millisecond up: syncs of the log and commits. */
const LATENCY_BOUNDS_S: readonly number[] = [
  0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5,
];

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[] = LATENCY_BOUNDS_S) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? Number.POSITIVE_INFINITY)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  values(): HistogramValues {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum };
  }
}
