/**
 * A Raft log in memory: the LogStorage of tests and of the simulator.
 * Pure. Invariant: entries are contiguous from the snapshot point on. Source: contract in raft/core/types.ts.
 */
import { DataLossError } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { Entry, HardState, LogStorage, Membership, SnapshotMeta } from "../core/types.js";
import { sliceByBytes } from "../log/entry-bytes.js";

const EMPTY_MEMBERSHIP: Membership = { members: [], removed: [] };

export class MemoryLog implements LogStorage {
  #hardState: HardState = { term: 0, vote: 0, commit: 0 };
  #snapshot: SnapshotMeta;
  #entries: Entry[] = [];

  /** @param membership in force before the first entry: the founders, or nobody for a joining member. */
  constructor(membership: Membership = EMPTY_MEMBERSHIP) {
    this.#snapshot = { index: 0, term: 0, membership };
  }

  /** The membership is that of the snapshot point: start the core with `appliedIndex = firstIndex() - 1`. */
  initialState(): { hardState: HardState; membership: Membership } {
    return { hardState: this.#hardState, membership: this.#snapshot.membership ?? EMPTY_MEMBERSHIP };
  }

  firstIndex(): number {
    return this.#snapshot.index + 1;
  }

  lastIndex(): number {
    return this.#snapshot.index + this.#entries.length;
  }

  term(index: number): number | undefined {
    if (index === this.#snapshot.index) return this.#snapshot.term;
    return this.#entries[index - this.firstIndex()]?.term;
  }

  entries(low: number, high: number, bytesMax: number): readonly Entry[] {
    const first = this.firstIndex();
    if (low < first) throw new DataLossError(`entry ${low} is compacted, the log starts at ${first}`);
    return sliceByBytes(this.#entries, { start: low - first, end: high - first }, bytesMax);
  }

  snapshotMeta(): SnapshotMeta {
    return this.#snapshot;
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Appends, replacing whatever stood at or after the first new index. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const at = first.index - this.firstIndex();
    invariant(at >= 0 && at <= this.#entries.length, `entry ${first.index} leaves a gap or is compacted`);
    this.#entries.length = at;
    for (const entry of entries) this.#entries.push(entry);
  }

  /** Forgets the entries up to the snapshot's index, keeping those after it. */
  compact(snapshot: SnapshotMeta): void {
    if (snapshot.index <= this.#snapshot.index) return;
    invariant(snapshot.index <= this.lastIndex(), `compaction to ${snapshot.index} beyond the log's end`);
    this.#entries = this.#entries.slice(snapshot.index - this.#snapshot.index);
    this.#snapshot = snapshot;
  }

  /** Replaces everything. */
  installSnapshot(snapshot: SnapshotMeta): void {
    this.#entries = [];
    this.#snapshot = snapshot;
    this.#hardState = { ...this.#hardState, commit: Math.max(this.#hardState.commit, snapshot.index) };
  }

  /** A copy that shares only immutable entries. */
  clone(): MemoryLog {
    const copy = new MemoryLog();
    copy.#hardState = this.#hardState;
    copy.#snapshot = this.#snapshot;
    copy.#entries = this.#entries.slice();
    return copy;
  }
}
