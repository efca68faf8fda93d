/**
 * The log as the core sees it: the stable part in storage, then what the host has not synced yet.
 * Pure. Invariants: applied <= commit <= lastIndex; entries up to commit are never replaced;
 * everything before
 * `offset` is stable. Source: Raft paper 5.3, 5.4; section 7 for snapshots.
 *
 *      storage                         unstable (handed out in the next Ready)
 *   ┌──────────────────────────────┬──────────────────────┐
 *   firstIndex            offset-1   offset        lastIndex
 */
import { DataLossError } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { Entry, LogStorage, SnapshotMeta } from "../core/types.js";
import { entriesBytes, sliceByBytes } from "./entry-bytes.js";

export class LogView {
  readonly #storage: LogStorage;
  #offset: number;
  #unstable: Entry[] = [];
  #snapshot: SnapshotMeta | undefined;
  #commitIndex: number;
  #appliedIndex: number;

  /** @throws {DataLossError} when the log ends before what it says is committed or applied. */
  constructor(storage: LogStorage, known: { commitIndex: number; appliedIndex: number }) {
    this.#storage = storage;
    this.#offset = storage.lastIndex() + 1;
    const start = storage.firstIndex() - 1;
    this.#commitIndex = Math.max(known.commitIndex, known.appliedIndex, start);
    this.#appliedIndex = Math.max(known.appliedIndex, start);
    if (this.#commitIndex > storage.lastIndex()) {
      throw new DataLossError(
        `the log ends at ${storage.lastIndex()}, but entries up to ${this.#commitIndex} were committed`,
      );
    }
  }

  get commitIndex(): number {
    return this.#commitIndex;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** Last index that survives a crash. */
  get stableIndex(): number {
    return this.#offset - 1;
  }

  /** Entries that the host must still write. */
  get unstable(): readonly Entry[] {
    return this.#unstable;
  }

  /** A snapshot that the host must still install; nothing may be appended or applied meanwhile. */
  get pendingSnapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }

  get firstIndex(): number {
    return this.#snapshot === undefined ? this.#storage.firstIndex() : this.#snapshot.index + 1;
  }

  get lastIndex(): number {
    return this.#offset + this.#unstable.length - 1;
  }

  get lastTerm(): number {
    return this.term(this.lastIndex) ?? 0;
  }

  /** @returns undefined when compacted or beyond the end. */
  term(index: number): number | undefined {
    if (index >= this.#offset) return this.#unstable[index - this.#offset]?.term;
    if (this.#snapshot !== undefined) {
      return index === this.#snapshot.index ? this.#snapshot.term : undefined;
    }
    return this.#storage.term(index);
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Raft paper 5.4.1: the later last term wins, then the longer log. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    const ownTerm = this.lastTerm;
    return lastTerm > ownTerm || (lastTerm === ownTerm && lastIndex >= this.lastIndex);
  }

  /** Entries from `low` to before `high`, at least one unless empty, cut at about `bytesMax`. */
  slice(low: number, high: number, bytesMax: number): readonly Entry[] {
    if (low >= high) return [];
    const range = { start: Math.max(low, this.#offset) - this.#offset, end: high - this.#offset };
    if (low >= this.#offset) return sliceByBytes(this.#unstable, range, bytesMax);
    const stored = this.#storage.entries(low, Math.min(high, this.#offset), bytesMax);
    const bytesLeft = bytesMax - entriesBytes(stored);
    if (high <= this.#offset || stored.length < this.#offset - low || bytesLeft <= 0) return stored;
    return stored.concat(sliceByBytes(this.#unstable, range, bytesLeft));
  }

  /** Adds the leader's own entries, which follow the last one. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      invariant(entry.index === this.lastIndex + 1, `entry ${entry.index} appended after ${this.lastIndex}`);
      this.#unstable.push(entry);
    }
  }

  /**
   * Takes a leader's entries, whose predecessor was found to match: skips those already here,
   * replaces from the first conflict on (Raft paper 5.3).
   * A shorter message never cuts a longer matching log: it may be old.
   */
  merge(entries: readonly Entry[]): void {
    const from = entries.findIndex((entry) => !this.matches(entry.index, entry.term));
    const first = entries[from];
    if (first === undefined) return;
    invariant(first.index > this.#commitIndex, `entry ${first.index} conflicts with a committed one`);
    if (first.index <= this.#offset) {
      this.#offset = first.index;
      this.#unstable = [];
    } else {
      this.#unstable.length = first.index - this.#offset;
    }
    this.append(entries.slice(from));
  }

  /** @returns whether the commit index moved. */
  commitTo(index: number): boolean {
    if (index <= this.#commitIndex) return false;
    invariant(index <= this.lastIndex, `commit index ${index} is beyond the log's end ${this.lastIndex}`);
    this.#commitIndex = index;
    return true;
  }

  /**
   * The highest index at or before `index` whose term is at most `term`, and that term (0: compacted).
   * Both sides use it after a rejection, so that a whole term is skipped per round trip (Raft paper,
   * end of 5.3).
   */
  findConflictByTerm(index: number, term: number): { readonly index: number; readonly term: number } {
    for (let at = Math.min(index, this.lastIndex); at > 0; at--) {
      const ownTerm = this.term(at);
      if (ownTerm === undefined) return { index: at, term: 0 };
      if (ownTerm <= term) return { index: at, term: ownTerm };
    }
    return { index: 0, term: 0 };
  }

  /** Committed entries that were not handed out yet. */
  unapplied(bytesMax: number): readonly Entry[] {
    if (this.#snapshot !== undefined) return [];
    return this.slice(this.#appliedIndex + 1, this.#commitIndex + 1, bytesMax);
  }

  hasUnapplied(): boolean {
    return this.#snapshot === undefined && this.#appliedIndex < this.#commitIndex;
  }

  appliedTo(index: number): void {
    invariant(index <= this.#commitIndex, `applied ${index}, but committed only ${this.#commitIndex}`);
    this.#appliedIndex = Math.max(this.#appliedIndex, index);
  }

  /**
   * The host has synced up to this entry. Ignored when a new leader replaced it meanwhile:
   * it is written again.
   */
  stableTo(index: number, term: number): void {
    const at = index - this.#offset;
    if (at < 0 || this.#unstable[at]?.term !== term) return;
    this.#unstable = this.#unstable.slice(at + 1);
    this.#offset = index + 1;
  }

  /** A snapshot takes the whole log's place. */
  restore(snapshot: SnapshotMeta): void {
    invariant(snapshot.index > this.#commitIndex, "a snapshot may not take back committed entries");
    this.#snapshot = snapshot;
    this.#offset = snapshot.index + 1;
    this.#unstable = [];
    this.#commitIndex = snapshot.index;
  }

  /** The host has installed it. Ignored when a newer one arrived meanwhile. */
  restored(snapshot: SnapshotMeta): boolean {
    if (this.#snapshot !== snapshot) return false;
    this.#snapshot = undefined;
    this.#appliedIndex = snapshot.index;
    return true;
  }

  /** The newest snapshot that can be sent. */
  snapshotMeta(): SnapshotMeta {
    return this.#storage.snapshotMeta();
  }
}
