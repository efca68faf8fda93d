/**
 * The materialised state in `level`. Edge: to the level package and the folders it keeps.
 *
 * `state` names the folder in use (`state-1`, `state-2`, …);
 * a received snapshot is written into a new one and the name is switched, so that a crash at any moment
 * leaves one whole state. Inside: `m` is the point (SnapshotMeta),
 * `k/<key>` a value; every value is sealed under a key derived from the data key,
 * its key authenticated with it.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Level } from "level";
import { DataLossError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import { SnapshotMeta } from "../../proto/gen/skein/v1/raft.js";
import type { KeyValueChange, KeyValuePair } from "../host/raft-node.js";
import { Sealer } from "./data-key.js";
import type { Disk } from "./disk.js";
import type { StateInstall, StateSnapshot, StateStore } from "./state-store.js";

const POINTER = "state";
const META = "m";
const PREFIX = "k/";
const PREFIX_END = "k0"; // the string after every "k/…"
/** The state is read whole at start and afterwards only for snapshots: small caches do. */
const CACHE_BYTES = 1024 * 1024;
const WRITE_BUFFER_BYTES = 2 * 1024 * 1024;
const PAIRS_PER_READ = 256;
/** Sealing one takes about 10 us: the event loop is given back after a millisecond or two. */
const PAIRS_PER_TURN = 128;

const EMPTY: SnapshotMeta = { index: 0, term: 0, membership: undefined };

type Database = Level<string, Buffer>;
type FrozenView = ReturnType<Database["snapshot"]>;

export interface LevelStateOptions {
  readonly folder: string;
  /** The same folder as a disk. */
  readonly disk: Disk;
  readonly dataKey: Uint8Array;
  readonly random: Random;
}

/** Opens the state, making an empty one in a new folder. @throws {DataLossError} */
export async function openLevelState(options: LevelStateOptions): Promise<StateStore> {
  const pointer = await options.disk.read(POINTER);
  const number = Number.parseInt(pointer?.toString("latin1") ?? "1", 10);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new DataLossError("the file that names the state folder is damaged");
  await rm(folderOf(options, number + 1), { recursive: true, force: true }); // an install that never ended
  if (number > 1) await rm(folderOf(options, number - 1), { recursive: true, force: true });
  const generation = await openGeneration(options, number);
  if (pointer === undefined) await options.disk.replace(POINTER, Buffer.from(`${number}\n`));
  try {
    return new LevelState(options, generation, await metaOf(generation));
  } catch (error) {
    await generation.db.close();
    throw error;
  }
}

function folderOf(options: LevelStateOptions, number: number): string {
  return join(options.folder, `state-${number}`);
}

async function metaOf(
  generation: Generation,
  options: { snapshot?: FrozenView } = {},
): Promise<SnapshotMeta> {
  const stored = await generation.db.get(META, options);
  return stored === undefined ? EMPTY : SnapshotMeta.decode(generation.unseal(META, stored));
}

/** One folder with its database and key. */
class Generation {
  readonly number: number;
  readonly db: Database;
  readonly #sealer: Sealer;

  constructor(number: number, db: Database, sealer: Sealer) {
    this.number = number;
    this.db = db;
    this.#sealer = sealer;
  }

  seal(key: string, value: Uint8Array): Buffer {
    return this.#sealer.seal(value, Buffer.from(key));
  }

  unseal(key: string, sealed: Uint8Array): Buffer {
    return this.#sealer.open(sealed, Buffer.from(key));
  }

  async writePairs(
    pairs: readonly KeyValueChange[],
    meta: SnapshotMeta | undefined,
    sync: boolean,
  ): Promise<void> {
    const batch = this.db.batch();
    for (const [at, { key, value }] of pairs.entries()) {
      if (at % PAIRS_PER_TURN === PAIRS_PER_TURN - 1) await setImmediate();
      const stored = PREFIX + key;
      if (value === undefined) batch.del(stored);
      else batch.put(stored, this.seal(stored, value));
    }
    if (meta !== undefined) batch.put(META, this.seal(META, SnapshotMeta.encode(meta).finish()));
    await batch.write({ sync });
  }
}

async function openGeneration(options: LevelStateOptions, number: number): Promise<Generation> {
  const db: Database = new Level(folderOf(options, number), {
    keyEncoding: "utf8",
    valueEncoding: "buffer",
    compression: false, // ciphertext does not shrink
    cacheSize: CACHE_BYTES,
    writeBufferSize: WRITE_BUFFER_BYTES,
  });
  await db.open();
  const purpose = `skein state ${number}`;
  return new Generation(
    number,
    db,
    new Sealer({ dataKey: options.dataKey, purpose, random: options.random }),
  );
}

class LevelState implements StateStore {
  readonly #options: LevelStateOptions;
  #generation: Generation;
  #meta: SnapshotMeta;

  constructor(options: LevelStateOptions, generation: Generation, meta: SnapshotMeta) {
    this.#options = options;
    this.#generation = generation;
    this.#meta = meta;
  }

  get meta(): SnapshotMeta {
    return this.#meta;
  }

  async write(batch: {
    meta: SnapshotMeta;
    changes: readonly KeyValueChange[];
    sync?: boolean;
  }): Promise<void> {
    await this.#generation.writePairs(batch.changes, batch.meta, batch.sync ?? false);
    this.#meta = batch.meta;
  }

  async snapshot(): Promise<StateSnapshot> {
    const generation = this.#generation;
    const frozen = generation.db.snapshot();
    return {
      meta: await metaOf(generation, { snapshot: frozen }),
      portions: (bytesMax) => portionsOf(generation, frozen, bytesMax),
      close: () => frozen.close(),
    };
  }

  async beginInstall(meta: SnapshotMeta): Promise<StateInstall> {
    const number = this.#generation.number + 1;
    await rm(folderOf(this.#options, number), { recursive: true, force: true });
    const next = await openGeneration(this.#options, number);
    let open = true;
    return {
      add: (pairs) => next.writePairs(pairs, undefined, false),
      commit: async () => {
        open = false;
        await next.writePairs([], meta, true); // syncs what was written before, too
        await this.#options.disk.replace(POINTER, Buffer.from(`${number}\n`));
        const old = this.#generation;
        this.#generation = next;
        this.#meta = meta;
        await old.db.close();
        await rm(folderOf(this.#options, old.number), { recursive: true, force: true });
      },
      abort: async () => {
        if (!open) return;
        open = false;
        await next.db.close();
        await rm(folderOf(this.#options, number), { recursive: true, force: true });
      },
    };
  }

  async close(): Promise<void> {
    await this.#generation.db.close();
  }
}

async function* portionsOf(
  generation: Generation,
  snapshot: FrozenView,
  bytesMax: number,
): AsyncGenerator<readonly KeyValuePair[]> {
  const iterator = generation.db.iterator({ gte: PREFIX, lt: PREFIX_END, snapshot });
  try {
    let portion: KeyValuePair[] = [];
    let bytes = 0;
    for (;;) {
      const rows = await iterator.nextv(PAIRS_PER_READ);
      if (rows.length === 0) break;
      for (const [stored, sealed] of rows) {
        const pair = { key: stored.slice(PREFIX.length), value: generation.unseal(stored, sealed) };
        if (portion.length > 0 && bytes + stored.length + sealed.length > bytesMax) {
          yield portion;
          portion = [];
          bytes = 0;
        }
        portion.push(pair);
        bytes += stored.length + sealed.length;
      }
    }
    if (portion.length > 0) yield portion;
  } finally {
    await iterator.close();
  }
}
