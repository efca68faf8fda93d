/**
 * The materialised state of one simulated machine: the twin of level-state.ts on a disk that may stop at any
 * write. Pure. Invariant: contract of StateStore: a power cut takes newest batches, in order, back to the
 * last synced one.
 */
import type { Random } from "../../base/random/random.js";
import type { SnapshotMeta } from "../../raft/core/types.js";
import type { KeyValueChange, KeyValuePair } from "../../raft/host/raft-node.js";
import type { StateInstall, StateSnapshot, StateStore } from "../../raft/storage/state-store.js";
import type { CrashKind } from "./core-disk.js";
import type { HostDisk } from "./host-disk.js";
import type { HostLife } from "./host-life.js";

/** Never changed: a snapshot is a reference. */
interface Content {
  readonly meta: SnapshotMeta;
  readonly pairs: ReadonlyMap<string, Uint8Array>;
}

const EMPTY: Content = { meta: { index: 0, term: 0, membership: undefined }, pairs: new Map() };

/** What is on the disk, over all lives. */
export class HostStateFolder {
  readonly #random: Random;
  /** The last synced content, then what was written since. */
  #contents: readonly Content[] = [EMPTY];

  constructor(random: Random) {
    this.#random = random;
  }

  get newest(): Content {
    return this.#contents.at(-1) ?? EMPTY;
  }

  put(content: Content, isSynced: boolean): void {
    this.#contents = isSynced ? [content] : [...this.#contents, content];
  }

  crash(kind: CrashKind): void {
    if (kind === "process-death") return; // the kernel still has it all, until the power fails
    this.#contents = [this.#contents[this.#random.int(0, this.#contents.length)] ?? EMPTY];
  }
}

export class HostState implements StateStore {
  readonly #folder: HostStateFolder;
  readonly #disk: HostDisk;
  readonly #life: HostLife;

  constructor(folder: HostStateFolder, disk: HostDisk, life: HostLife) {
    this.#folder = folder;
    this.#disk = disk;
    this.#life = life;
  }

  get meta(): SnapshotMeta {
    return this.#folder.newest.meta;
  }

  get keyIds(): readonly number[] {
    return [];
  }

  async reseal(): Promise<void> {}

  async write(batch: {
    meta: SnapshotMeta;
    changes: readonly KeyValueChange[];
    sync?: boolean;
  }): Promise<void> {
    const { meta } = batch;
    const sync = batch.sync === true && !this.#disk.isStateLying;
    const perform = (isSynced: boolean): void => {
      const pairs = new Map(this.#folder.newest.pairs);
      for (const { key, value } of batch.changes) {
        if (value === undefined) pairs.delete(key);
        else pairs.set(key, value);
      }
      this.#folder.put({ meta, pairs }, isSynced);
    };
    await this.#write(
      () => perform(sync),
      () => perform(false),
    );
  }

  async snapshot(): Promise<StateSnapshot> {
    const { meta, pairs } = this.#folder.newest;
    return { meta, portions: (_bytesMax, after) => portionsOf(pairs, after), close: async () => undefined };
  }

  async beginInstall(meta: SnapshotMeta): Promise<StateInstall> {
    const pairs = new Map<string, Uint8Array>();
    const commit = (): void => this.#folder.put({ meta, pairs }, true);
    return {
      add: (portion) =>
        this.#write(
          () => {
            for (const { key, value } of portion) pairs.set(key, value);
          },
          () => undefined,
        ),
      commit: () => this.#write(commit, commit),
      abort: async () => undefined,
    };
  }

  async close(): Promise<void> {}

  #write(run: () => void, survive: () => void): Promise<void> {
    const allocate = (): void => {
      if (this.#disk.isFull)
        throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
      run();
    };
    return this.#disk.operate(this.#life, "sync", allocate, () => {
      if (this.#disk.flip()) survive();
    });
  }
}

/** A pair each: a snapshot takes several steps, between which much may happen. */
async function* portionsOf(
  pairs: ReadonlyMap<string, Uint8Array>,
  after: string | undefined,
): AsyncGenerator<readonly KeyValuePair[]> {
  for (const key of [...pairs.keys()].sort()) {
    const value = pairs.get(key);
    if (value !== undefined && (after === undefined || key > after)) yield [{ key, value }];
  }
}
