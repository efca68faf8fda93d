/**
 * Carries applied changes to the materialised state in the background, merged by key:
 * one write at each `kick` (the host's tick), or when much has gathered. Nobody waits for it:
 * until then the log holds the entries.
 * Pure over the StateStore port.
 * Invariant: the stored point only moves forward, together with exactly the changes up to it.
 */
import type { Membership, SnapshotMeta } from "../core/types.js";
import type { KeyValueChange } from "../host/raft-node.js";
import type { StateStore } from "./state-store.js";

/** Bytes of changes that start a write before the next kick. */
const GATHER_BYTES_MAX = 1024 * 1024;
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
    if (this.#bytes >= GATHER_BYTES_MAX) this.kick();
  }

  /** Starts writing what has gathered, unless a write runs. */
  kick(): void {
    if (this.#due && !this.#failed) this.#running ??= this.#run();
  }

  /** Resolves when everything added so far is written; with `sync`, so that a power cut cannot undo it. */
  async flush(options: { sync?: boolean } = {}): Promise<void> {
    const target = this.#point.index;
    if (options.sync === true) this.#syncAsked = true;
    this.kick();
    while (this.#running !== undefined) {
      await this.#running;
      if (this.#store.meta.index >= target && !this.#syncAsked) return;
      this.kick();
    }
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
    do {
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
    } while (!this.#failed && (this.#syncAsked || this.#bytes >= GATHER_BYTES_MAX));
    this.#running = undefined;
  }
}
