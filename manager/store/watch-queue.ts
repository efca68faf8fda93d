/**
 * One watcher's queue of committed changes.
 * Pure. Invariants: batches come in order of index; `wake` is called once between two takes;
 * past the bound the queue is one `reset` batch, so a watcher that sleeps costs a constant.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { StoreBatch, StoreChange, StoreWatch, TableName } from "./types.js";

/** Queued batches per watcher before they collapse into one with `reset`. */
export const WATCH_BATCHES_MAX = 10_000;

export interface WatchQueueOptions {
  readonly tables?: readonly TableName[];
  readonly wake: () => void;
  readonly log: Logger;
  readonly onClose: () => void;
}

export class WatchQueue implements StoreWatch {
  readonly #tables: ReadonlySet<TableName> | undefined;
  readonly #options: WatchQueueOptions;
  #batches: StoreBatch[] = [];
  #awake = false;
  #closed = false;

  constructor(options: WatchQueueOptions) {
    this.#options = options;
    this.#tables = options.tables === undefined ? undefined : new Set(options.tables);
  }

  /** Called by the store after each applied transaction. */
  push(index: number, changes: readonly StoreChange[]): void {
    const tables = this.#tables;
    const mine = tables === undefined ? changes : changes.filter((change) => tables.has(change.table));
    if (mine.length === 0) return;
    if (this.#batches.length >= WATCH_BATCHES_MAX || this.#batches[0]?.reset === true) this.reset(index);
    else this.#add({ index, changes: mine, reset: false });
  }

  /** Everything may have changed. */
  reset(index: number): void {
    this.#batches = [];
    this.#add({ index, changes: [], reset: true });
  }

  take(): readonly StoreBatch[] {
    const batches = this.#batches;
    this.#batches = [];
    this.#awake = false;
    return batches;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#batches = [];
    this.#options.onClose();
  }

  #add(batch: StoreBatch): void {
    if (this.#closed) return;
    this.#batches.push(batch);
    if (this.#awake) return;
    this.#awake = true;
    try {
      this.#options.wake();
    } catch (error) {
      // Applying must not fail because a watcher did.
      this.#options.log.error("store watcher failed to wake", { error: messageOf(error) });
    }
  }
}
