/**
 * The watchers of a store: each has a queue of committed changes; those of the same tables share each batch.
 * Pure. Invariants: batches come in order of index; `wake` is called once between two takes;
 * past the bound the queue is one `reset` batch, so a watcher that sleeps costs a constant.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { StoreBatch, StoreChange, StoreWatch, TableName } from "./types.js";

/** Queued batches per watcher before they collapse into one with `reset`. */
export const WATCH_BATCHES_MAX = 10_000;

export interface WatchOptions {
  readonly tables?: readonly TableName[];
  readonly wake: () => void;
}

const NONE: readonly StoreBatch[] = [];

/** Watchers of the same tables. */
interface WatchGroup {
  readonly key: string;
  /** undefined: all. */
  readonly tables: ReadonlySet<TableName> | undefined;
  readonly queues: Set<WatchQueue>;
}

export class Watchers {
  readonly #log: Logger;
  readonly #groups = new Map<string, WatchGroup>();

  constructor(log: Logger) {
    this.#log = log;
  }

  open(options: WatchOptions): StoreWatch {
    const tables = options.tables === undefined ? undefined : new Set(options.tables);
    const key = tables === undefined ? "" : [...tables].sort().join();
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { key, tables, queues: new Set() };
      this.#groups.set(key, group);
    }
    const { queues } = group;
    const queue: WatchQueue = new WatchQueue({
      wake: options.wake,
      log: this.#log,
      onClose: () => {
        queues.delete(queue);
        if (queues.size === 0) this.#groups.delete(key);
      },
    });
    queues.add(queue);
    return queue;
  }

  /** Called by the store after each applied transaction. */
  push(index: number, changes: readonly StoreChange[]): void {
    for (const { tables, queues } of this.#groups.values()) {
      const isMine = ({ table }: StoreChange): boolean => tables === undefined || tables.has(table);
      const mine = changes.every(isMine) ? changes : changes.filter(isMine);
      if (mine.length === 0) continue;
      const batch = { index, changes: mine, reset: false };
      for (const queue of queues) queue.push(batch);
    }
  }

  /** Everything may have changed. */
  reset(index: number): void {
    for (const { queues } of this.#groups.values()) for (const queue of queues) queue.reset(index);
  }
}

interface WatchQueueOptions {
  readonly wake: () => void;
  readonly log: Logger;
  readonly onClose: () => void;
}

class WatchQueue implements StoreWatch {
  readonly #options: WatchQueueOptions;
  /** Made when the first batch comes. */
  #batches: StoreBatch[] | undefined;
  #awake = false;
  #closed = false;

  constructor(options: WatchQueueOptions) {
    this.#options = options;
  }

  push(batch: StoreBatch): void {
    if (this.#closed) return;
    const batches = this.#batches;
    if (batches === undefined) this.#batches = [batch];
    else if (batches.length >= WATCH_BATCHES_MAX || batches[0]?.reset === true) this.reset(batch.index);
    else batches.push(batch);
    if (!this.#awake) this.#wake();
  }

  reset(index: number): void {
    if (this.#closed) return;
    this.#batches = [{ index, changes: [], reset: true }];
    if (!this.#awake) this.#wake();
  }

  take(): readonly StoreBatch[] {
    const batches = this.#batches ?? NONE;
    this.#batches = undefined;
    this.#awake = false;
    return batches;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#batches = undefined;
    this.#options.onClose();
  }

  #wake(): void {
    this.#awake = true;
    try {
      this.#options.wake();
    } catch (error) {
      // Applying must not fail because a watcher did.
      this.#options.log.error("store watcher failed to wake", { error: messageOf(error) });
    }
  }
}
