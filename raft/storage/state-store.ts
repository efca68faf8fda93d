/**
 * The materialised state of the replicated state machine, as of one index of the log, on stable storage.
 * Pure (interface only). Two implementations, one contract suite: level-state.ts, memory-state.ts.
 */
import type { SnapshotMeta } from "../core/types.js";
import type { KeyValueChange, KeyValuePair } from "../host/raft-node.js";

/** A frozen view that later batches do not disturb. Whoever opens it closes it. */
export interface StateSnapshot {
  readonly meta: SnapshotMeta;
  /** All pairs, or those after a key, in the order of their keys, in portions of about `bytesMax`. */
  portions(bytesMax: number, after?: string): AsyncIterable<readonly KeyValuePair[]>;
  close(): Promise<void>;
}

/** A state being received, beside the one in use. */
export interface StateInstall {
  add(pairs: readonly KeyValuePair[]): Promise<void>;
  /** Replaces the state in use, atomically and durably. */
  commit(): Promise<void>;
  /** Forgets what was received. Harmless after `commit`. */
  abort(): Promise<void>;
}

export interface StateStore {
  /** What the state holds now. Index 0: nothing yet. */
  readonly meta: SnapshotMeta;
  /**
   * Writes changes and the point they lead to, as one. A process that dies finds all or nothing of it;
   * the machine's power failing may lose newest batches, in order,
   * unless `sync` was asked of them or of a later one.
   */
  write(batch: { meta: SnapshotMeta; changes: readonly KeyValueChange[]; sync?: boolean }): Promise<void>;
  /** Ids of the data keys that what is stored, or about to be, is sealed under. */
  readonly keyIds: readonly number[];
  /**
   * Seals everything anew under the data key that is current now, in small portions beside the writes,
   * which go on. When it fails, or a snapshot is installed meanwhile, the state stays as it was.
   */
  reseal(options?: { signal?: AbortSignal }): Promise<void>;
  snapshot(): Promise<StateSnapshot>;
  beginInstall(meta: SnapshotMeta): Promise<StateInstall>;
  close(): Promise<void>;
}
