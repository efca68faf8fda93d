/**
 * Carries applied changes to the materialised state in the background, merged by key:
 * one write at each tick, or when much has gathered. Nobody waits for it:
 * until then the log holds the entries. So a write that fails (a full disk) harms nobody: what it carried is
 * kept, merged with what comes, and tried again after a pause that grows to ten seconds; `trouble` tells
 * meanwhile. Pure over the StateStore port.
 * Invariant: the stored point only moves forward, together with exactly the changes up to it.
 * Bound: `full` at 16 MiB of changes; the applier then waits for a write, and the member stops when that
 * fails.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Membership, SnapshotMeta } from "../core/types.js";
import type { KeyValueChange } from "../host/raft-node.js";
import type { StateStore } from "./state-store.js";

/** Bytes of changes that start a write before the next tick. */
const GATHER_BYTES_MAX = 1024 * 1024;
/** Bytes of changes waiting beyond which `full` asks the applier to pause. */
const PENDING_BYTES_MAX = 16 * 1024 * 1024;
/** Ticks between two attempts at a write that fails: 0.2 s, then twice as many, up to 10 s. */
const PAUSE_TICKS = { first: 2, max: 100 } as const;

function changeBytes(change: KeyValueChange): number {
  return change.key.length + (change.bytesAbout ?? change.value?.length ?? 0);
}

export class StateWriter {
  readonly #store: StateStore;
  /** By key, the newest. */
  #changes = new Map<string, KeyValueChange>();
  /** Of `#changes`; more than that when keys repeat. */
  #bytes = 0;
  #point: SnapshotMeta;
  #syncAsked = false;
  #syncedIndex = 0;
  #failure: { readonly error: unknown; readonly pauseTicks: number } | undefined;
  /** Ticks until the next attempt. */
  #pauseTicks = 0;
  #running: Promise<void> | undefined;

  constructor(options: { store: StateStore }) {
    this.#store = options.store;
    this.#point = options.store.meta;
  }

  /** True when the applier should `flush` before it adds more. */
  get full(): boolean {
    return this.#bytes >= PENDING_BYTES_MAX;
  }

  /** Why the state on disk stays behind; undefined: it does not. */
  get trouble(): string | undefined {
    if (this.#failure === undefined) return undefined;
    return `the state cannot be written: ${messageOf(this.#failure.error)}`;
  }

  /**
   * What is stored up to here survives a power cut, from the first `flush` with `sync` on. A write that began
   * behind the synced one may have moved the stored point further.
   */
  get syncedIndex(): number {
    return this.#syncedIndex;
  }

  /** Takes the changes of one applied entry. */
  add(
    entry: { index: number; term: number },
    membership: Membership,
    changes: readonly KeyValueChange[],
  ): void {
    this.#point = { index: entry.index, term: entry.term, membership };
    for (const change of changes) {
      this.#changes.set(change.key, change);
      this.#bytes += changeBytes(change);
    }
    if (this.#bytes >= GATHER_BYTES_MAX && this.#failure === undefined) this.#start();
  }

  /** Starts writing what has gathered, unless a write runs, or one has failed a moment ago. */
  tick(): void {
    if (this.#failure !== undefined && this.#pauseTicks > 0) this.#pauseTicks -= 1;
    else this.#start();
  }

  /**
   * Resolves when everything added so far is written; with `sync`, so that a power cut cannot undo it.
   * @throws what the store throws, now or a moment ago; nothing is lost by it.
   */
  async flush(options: { sync?: boolean } = {}): Promise<void> {
    const target = this.#point.index;
    if (options.sync === true) this.#syncAsked = true;
    for (;;) {
      this.#start();
      if (this.#running === undefined) return;
      await this.#running;
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#store.meta.index >= target && !this.#syncAsked) return;
    }
  }

  /** Resolves when no write runs. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** A snapshot is about to be installed, or was: what waits is older than it. */
  reset(): void {
    this.#changes = new Map();
    this.#bytes = 0;
    this.#point = this.#store.meta;
    this.#syncedIndex = this.#point.index;
    this.#failure = undefined;
  }

  #start(): void {
    if (this.#point.index > this.#store.meta.index || this.#syncAsked) this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    do {
      const taken = this.#changes;
      const sync = this.#syncAsked;
      this.#changes = new Map();
      this.#bytes = 0;
      this.#syncAsked = false;
      try {
        const changes = [...taken.values()];
        const meta = this.#point;
        await this.#store.write({ meta, changes, sync });
        if (sync) this.#syncedIndex = meta.index;
        this.#failure = undefined;
      } catch (error) {
        this.#takeBack(taken);
        const pauseTicks = Math.min(
          (this.#failure?.pauseTicks ?? PAUSE_TICKS.first / 2) * 2,
          PAUSE_TICKS.max,
        );
        this.#failure = { error, pauseTicks };
        this.#pauseTicks = pauseTicks;
        break;
      }
    } while (this.#syncAsked || this.#bytes >= GATHER_BYTES_MAX);
    this.#running = undefined;
  }

  /** What could not be written counts where nothing newer has come. */
  #takeBack(taken: Map<string, KeyValueChange>): void {
    for (const [key, change] of this.#changes) taken.set(key, change);
    this.#changes = taken;
    this.#bytes = 0;
    for (const change of taken.values()) this.#bytes += changeBytes(change);
  }
}
