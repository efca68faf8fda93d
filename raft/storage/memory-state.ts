/**
 * The materialised state in memory: the twin of level-state.ts for tests and simulation.
 * Pure. What lives in a `MemoryStateFolder` survives the store that wrote it, as a disk would;
 * a power cut may take it back to what was synced last.
 */
import { FailedPreconditionError } from "../../base/errors/errors.js";
import type { SnapshotMeta } from "../core/types.js";
import type { KeyValueChange, KeyValuePair } from "../host/raft-node.js";
import type { StateInstall, StateSnapshot, StateStore } from "./state-store.js";

interface Content {
  meta: SnapshotMeta;
  pairs: Map<string, Uint8Array>;
}

export interface MemoryStateFolder extends Content {
  synced: Content;
  /** While set, every write fails with it and changes nothing. */
  failing?: Error | undefined;
}

export function emptyStateFolder(): MemoryStateFolder {
  return folderWith({ meta: { index: 0, term: 0, membership: undefined }, pairs: new Map() });
}

/** The folder as a restart finds it: all of it after a process died, what was synced after a power cut. */
export function folderAfter(
  folder: MemoryStateFolder,
  end: "process-death" | "power-cut",
): MemoryStateFolder {
  return folderWith(end === "power-cut" ? folder.synced : folder);
}

function folderWith(content: Content): MemoryStateFolder {
  return { ...copyOf(content), synced: copyOf(content) };
}

function copyOf({ meta, pairs }: Content): Content {
  return { meta, pairs: new Map(pairs) };
}

export class MemoryState implements StateStore {
  readonly #folder: MemoryStateFolder;
  #closed = false;

  constructor(folder: MemoryStateFolder = emptyStateFolder()) {
    this.#folder = folder;
  }

  get meta(): SnapshotMeta {
    return this.#folder.meta;
  }

  async write(batch: {
    meta: SnapshotMeta;
    changes: readonly KeyValueChange[];
    sync?: boolean;
  }): Promise<void> {
    if (this.#closed) throw new FailedPreconditionError("the state store is closed");
    if (this.#folder.failing !== undefined) throw this.#folder.failing;
    for (const { key, value } of batch.changes) {
      if (value === undefined) this.#folder.pairs.delete(key);
      else this.#folder.pairs.set(key, value);
    }
    this.#folder.meta = batch.meta;
    if (batch.sync === true) this.#folder.synced = copyOf(this.#folder);
  }

  /** What is in memory is sealed under none. */
  get keyIds(): readonly number[] {
    return [];
  }

  async reseal(): Promise<void> {}

  async snapshot(): Promise<StateSnapshot> {
    const { meta } = this.#folder;
    const pairs = new Map(this.#folder.pairs);
    return {
      meta,
      portions: (bytesMax, after) => portionsOf(pairs, bytesMax, after),
      close: async () => undefined,
    };
  }

  async beginInstall(meta: SnapshotMeta): Promise<StateInstall> {
    const received = new Map<string, Uint8Array>();
    return {
      add: async (pairs) => {
        for (const { key, value } of pairs) received.set(key, value);
      },
      commit: async () => {
        this.#folder.pairs = received;
        this.#folder.meta = meta;
        this.#folder.synced = copyOf(this.#folder);
      },
      abort: async () => undefined,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}

async function* portionsOf(
  pairs: ReadonlyMap<string, Uint8Array>,
  bytesMax: number,
  after: string | undefined,
): AsyncGenerator<readonly KeyValuePair[]> {
  let portion: KeyValuePair[] = [];
  let bytes = 0;
  for (const key of [...pairs.keys()].sort()) {
    const value = pairs.get(key);
    if (value === undefined || (after !== undefined && key <= after)) continue;
    if (portion.length > 0 && bytes + key.length + value.length > bytesMax) {
      yield portion;
      portion = [];
      bytes = 0;
    }
    portion.push({ key, value });
    bytes += key.length + value.length;
  }
  if (portion.length > 0) yield portion;
}
