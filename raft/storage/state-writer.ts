/**
 * Carries applied changes to the materialised state in the background: what arrives during one write goes, merged by
 * key, into the next. Pure over the StateStore port.
 * Invariant: the stored point only moves forward, together with exactly the changes up to it.
 */
import type { Membership, SnapshotMeta } from "../core/types.js";
import type { KeyValueChange } from "../host/raft-node.js";
import type { StateStore } from "./state-store.js";

/** Bytes of changes waiting beyond which `full` asks the applier to pause. */
const PENDING_BYTES_MAX = 16 * 1024 * 1024;

export class StateWriter {
  readonly #store: StateStore;
  readonly #onError: (error: unknown) => void;
  #changes = new Map<string, Uint8Array | undefined>();
  #bytes = 0;
  #point: SnapshotMeta;
  #syncAsked = false;
  #failed = false;
  #running: Promise<void> | undefined;

  constructor(options: { store: StateStore; onError: (error: unknown) => void }) {
    this.#store = options.store;
    this.#onError = options.onError;
    this.#point = options.store.meta;
  }

  /** True when the applier should `flush` before it adds more. */
  get full(): boolean {
    return this.#bytes >= PENDING_BYTES_MAX;
  }

  /** Takes the changes of one applied entry. */
  add(
    entry: { index: number; term: number },
    membership: Membership,
    changes: readonly KeyValueChange[],
  ): void {
    this.#point = { index: entry.index, term: entry.term, membership };
    for (const { key, value } of changes) {
      this.#changes.set(key, value);
      this.#bytes += key.length + (value?.length ?? 0);
    }
    this.#running ??= this.#run();
  }

  /** Resolves when everything added so far is written; with `sync`, so that a power cut cannot undo it. */
  async flush(options: { sync?: boolean } = {}): Promise<void> {
    if (options.sync === true) {
      this.#syncAsked = true;
      this.#running ??= this.#run();
    }
    while (this.#running !== undefined) await this.#running;
  }

  /** A snapshot was installed: what waits is older than it. */
  reset(): void {
    this.#changes = new Map();
    this.#bytes = 0;
    this.#point = this.#store.meta;
  }

  get #due(): boolean {
    return this.#point.index > this.#store.meta.index || this.#syncAsked;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // the entries applied in the same turn go together
    while (this.#due && !this.#failed) {
      const changes = [...this.#changes].map(([key, value]) => ({ key, value }));
      const sync = this.#syncAsked;
      this.#changes = new Map();
      this.#bytes = 0;
      this.#syncAsked = false;
      try {
        await this.#store.write({ meta: this.#point, changes, sync });
      } catch (error) {
        this.#failed = true;
        this.#onError(error);
      }
    }
    this.#running = undefined;
  }
}
