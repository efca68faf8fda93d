/**
 * What the core reads as its stable log: recent entries in memory, made durable by the write-ahead log first.
 * Pure over its parts. Invariant: nothing is visible here before it is durable;
 * the base never passes the stored state.
 */

import { DataLossError } from "../../base/errors/errors.js";
import { invariant } from "../../base/errors/invariant.js";
import type { Entry, HardState, LogStorage, Membership, SnapshotMeta } from "../core/types.js";
import type { EntryLog } from "./entry-log.js";
import type { FileWal } from "./file-wal.js";
import type { StateStore } from "./state-store.js";

/** Entries kept below the applied index for followers that lag a little, unless they are too many bytes. */
const ENTRIES_KEPT = 500;
/** Part of the memory bound that a compaction leaves in use. */
const BYTES_KEPT_SHARE = 0.5;
/**
 * What is kept for others beyond that is at most so many times what makes a compaction due: 100 000, 64 MiB.
 */
const HELD_ENTRIES_FACTOR = 10;
const HELD_BYTES_FACTOR = 8;

export interface StableLogOptions {
  readonly wal: FileWal;
  readonly log: EntryLog;
  readonly hardState: HardState;
  readonly state: StateStore;
  /** In force while the state is empty. */
  readonly initialMembership: Membership;
  /** Applied entries in the log that make a compaction due. @default 10000 */
  readonly snapshotInterval?: number;
  /** Entries that a compaction leaves below the stored state, unless they are too many bytes. @default 500 */
  readonly entriesKept?: number;
  /** Bytes of entries in memory that make it due, too. @default 8 MiB */
  readonly memoryBytesMax?: number;
}

/** Joins log and state as found at start. @throws {DataLossError} they do not fit together. */
export async function openStableLog(options: StableLogOptions): Promise<StableLog> {
  const { wal, log, state } = options;
  const { index, term } = state.meta;
  if (term > options.hardState.term) {
    // The term is synced before anything of it is taken.
    throw new DataLossError(
      `the state is of term ${term}, but the log knows of ${options.hardState.term} only`,
    );
  }
  if (log.base.index > index) {
    throw new DataLossError(`the log begins after entry ${log.base.index}, but the state ends at ${index}`);
  }
  if (log.term(index) !== term) {
    // A snapshot was installed, and the machine stopped before the log heard of it.
    if (index <= log.lastIndex && options.hardState.commit >= index) {
      throw new DataLossError(`the committed log and the state disagree about entry ${index}`);
    }
    await wal.append({ base: { index, term } });
    log.setBase({ index, term });
  }
  const commit = Math.max(options.hardState.commit, index);
  if (commit > log.lastIndex) {
    throw new DataLossError(`entries up to ${commit} were committed, but the log ends at ${log.lastIndex}`);
  }
  return new StableLog({ ...options, hardState: { ...options.hardState, commit } });
}

export interface LogLimits {
  /** Applied entries until a compaction. */
  readonly snapshotInterval: number;
  /** Entries that a compaction leaves for followers that lag a little. */
  readonly entriesKept: number;
}

export class StableLog implements LogStorage {
  readonly #wal: FileWal;
  readonly #log: EntryLog;
  readonly #state: StateStore;
  #hardState: HardState;
  readonly #initialMembership: Membership;
  #snapshotInterval: number;
  #entriesKept: number;
  readonly #memoryBytesMax: number;

  constructor(options: StableLogOptions) {
    this.#wal = options.wal;
    this.#log = options.log;
    this.#state = options.state;
    this.#hardState = options.hardState;
    this.#initialMembership = options.initialMembership;
    this.#snapshotInterval = options.snapshotInterval ?? 10_000;
    this.#entriesKept = options.entriesKept ?? ENTRIES_KEPT;
    this.#memoryBytesMax = options.memoryBytesMax ?? 8 * 1024 * 1024;
  }

  /** From the next compaction on. The bounds in bytes stay. */
  setLimits(limits: LogLimits): void {
    this.#snapshotInterval = limits.snapshotInterval;
    this.#entriesKept = limits.entriesKept;
  }

  /** As found at start; the membership is the one at the state's index, later changes are in the log. */
  initialState(): { hardState: HardState; membership: Membership } {
    return { hardState: this.#hardState, membership: this.#state.meta.membership ?? this.#initialMembership };
  }

  entries(low: number, high: number, bytesMax: number): readonly Entry[] {
    return this.#log.slice(low, high, bytesMax);
  }

  term(index: number): number | undefined {
    return this.#log.term(index);
  }

  firstIndex(): number {
    return this.#log.firstIndex;
  }

  lastIndex(): number {
    return this.#log.lastIndex;
  }

  snapshotMeta(): SnapshotMeta {
    return this.#state.meta;
  }

  /** The first entry of a new cluster, and the hard state that a restart finds with it. */
  async found(entries: readonly Entry[], hardState: HardState): Promise<void> {
    await this.append(entries, hardState);
    this.#hardState = hardState;
  }

  /** Makes a Ready's entries and hard state durable, then visible. */
  async append(entries: readonly Entry[], hardState: HardState | undefined): Promise<void> {
    await this.#wal.append(hardState === undefined ? { entries } : { entries, hardState });
    this.#log.append(entries);
  }

  /** For a hard state that needs no sync. */
  remember(hardState: HardState): void {
    this.#wal.remember(hardState);
  }

  /** The state was replaced by a snapshot: the log begins after it. */
  async install(meta: SnapshotMeta): Promise<void> {
    const base = { index: meta.index, term: meta.term };
    await this.#wal.append({ base });
    this.#log.setBase(base);
  }

  /**
   * Takes off the disk what the (synced) state holds. Memory keeps it: a follower that lags a little is
   * served from there.
   */
  async compactDisk(stateIndex: number): Promise<void> {
    const term = this.#log.term(stateIndex);
    if (term !== undefined) await this.#wal.compact({ index: stateIndex, term });
  }

  get compactionDue(): boolean {
    const applied = this.#state.meta.index - this.#log.base.index;
    return applied > this.#snapshotInterval || (applied > 0 && this.#log.bytes > this.#memoryBytesMax);
  }

  /**
   * Forgets entries that the (synced) state holds, but for the newest few, and for those from `keepFrom` on
   * as far as they are within the bounds.
   */
  async compact(options: { stateIndex: number; keepFrom?: number | undefined }): Promise<void> {
    const kept = Math.max(
      options.stateIndex - this.#entriesKept,
      this.#log.indexKeeping(this.#memoryBytesMax * BYTES_KEPT_SHARE),
    );
    const heldMost = Math.max(
      options.stateIndex - this.#snapshotInterval * HELD_ENTRIES_FACTOR,
      this.#log.indexKeeping(this.#memoryBytesMax * HELD_BYTES_FACTOR),
    );
    const awaited = Math.max((options.keepFrom ?? Number.POSITIVE_INFINITY) - 1, heldMost);
    const below = Math.min(options.stateIndex, kept, awaited);
    if (below <= this.#log.base.index) return;
    const term = this.#log.term(below);
    invariant(term !== undefined, `the log does not hold entry ${below} to compact at`);
    const base = { index: below, term };
    await this.#wal.compact(base);
    this.#log.setBase(base);
  }
}
