/**
 * The part of the Raft log that is kept in memory: every entry after the compaction point.
 * Pure. Invariant: indexes are contiguous from base.index + 1; terms never fall. Source: Raft paper 5.3, 7.
 */
import { DataLossError } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { Entry } from "../core/types.js";

/** A place in the log: what lies at or before it is in the materialised state. */
export interface LogPoint {
  readonly index: number;
  readonly term: number;
}

/** What an entry weighs in memory beside its data; an estimate. */
const ENTRY_OVERHEAD_BYTES = 64;

export function entryMemoryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

export class EntryLog {
  #base: LogPoint;
  #entries: Entry[] = [];
  #bytes = 0;

  constructor(base: LogPoint, entries: readonly Entry[] = []) {
    this.#base = base;
    this.append(entries);
  }

  get base(): LogPoint {
    return this.#base;
  }

  get firstIndex(): number {
    return this.#base.index + 1;
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds entries; those that were at the same or a higher index are replaced.
   * What is compacted already is skipped.
   */
  append(added: readonly Entry[]): void {
    const entries = added.filter((entry) => entry.index > this.#base.index);
    const first = entries[0];
    if (first === undefined) return;
    invariant(first.index <= this.lastIndex + 1, `log gap: entry ${first.index} after ${this.lastIndex}`);
    for (const removed of this.#entries.splice(first.index - this.firstIndex)) {
      this.#bytes -= entryMemoryBytes(removed);
    }
    for (const entry of entries) {
      invariant(entry.index === this.lastIndex + 1, `log gap: entry ${entry.index} after ${this.lastIndex}`);
      this.#entries.push(entry);
      this.#bytes += entryMemoryBytes(entry);
    }
  }

  /** Forgets entries up to the point; a log that does not hold that very entry is forgotten whole. */
  setBase(point: LogPoint): void {
    if (point.index < this.#base.index) return;
    const keep =
      this.term(point.index) === point.term ? this.#entries.slice(point.index - this.#base.index) : [];
    this.#base = point;
    this.#entries = keep;
    this.#bytes = keep.reduce((sum, entry) => sum + entryMemoryBytes(entry), 0);
  }

  /** The lowest index that leaves at most `bytes` of entries after it. */
  indexKeeping(bytes: number): number {
    let kept = 0;
    let at = this.#entries.length;
    while (at > 0) {
      const entry = this.#entries[at - 1];
      if (entry === undefined || kept + entryMemoryBytes(entry) > bytes) break;
      kept += entryMemoryBytes(entry);
      at -= 1;
    }
    return this.#base.index + at;
  }

  term(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.firstIndex]?.term;
  }

  /**
   * Entries in [low, high), at least one unless empty, cut at about `bytesMax`.
   * @throws {DataLossError} compacted.
   */
  slice(low: number, high: number, bytesMax: number): readonly Entry[] {
    if (low <= this.#base.index) {
      throw new DataLossError(`entry ${low} is compacted, the first one is ${this.firstIndex}`);
    }
    const from = low - this.firstIndex;
    const until = Math.min(high, this.lastIndex + 1) - this.firstIndex;
    let end = from;
    let bytes = 0;
    while (end < until) {
      const entry = this.#entries[end];
      if (entry === undefined) break;
      bytes += entryMemoryBytes(entry);
      if (end > from && bytes > bytesMax) break;
      end += 1;
    }
    return this.#entries.slice(from, end);
  }
}
