/**
 * One folder of the materialised state: a level database whose values are sealed under one data key.
 * Edge: to the level package.
 * Inside: `m` is the point (SnapshotMeta), `k/<key>` a value; a value's key is authenticated with it.
 * Which folder is in use, and under which data key, the file `state` says: "<number> <id of the data key>".
 */
import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Level } from "level";
import { DataLossError, messageOf, UnavailableError } from "../../base/errors/errors.js";
import type { Random } from "../../base/random/random.js";
import { SnapshotMeta } from "../../proto/gen/skein/v1/raft.js";
import type { KeyValueChange, KeyValuePair } from "../host/raft-node.js";
import { type DataKeys, Sealer } from "./data-key.js";

const META = "m";
const PREFIX = "k/";
const PREFIX_END = "k0"; // the string after every "k/…"
const NO_KEYS = "~"; // after all of them
/** The state is read whole at start and afterwards only for snapshots: small caches do. */
const CACHE_BYTES = 1024 * 1024;
const WRITE_BUFFER_BYTES = 2 * 1024 * 1024;
const PAIRS_PER_READ = 256;
/** Read, and opened, at once: a millisecond's work. */
const READ_BYTES = 64 * 1024;
/** Sealing one takes about 10 us: the event loop is given back after a millisecond or two. */
const PAIRS_PER_TURN = 128;
/** Of state folders written before data keys had ids. */
const FIRST_KEY_ID = 1;

const EMPTY: SnapshotMeta = { index: 0, term: 0, membership: undefined };

/** What the package's types leave out: in a process of Node `Level` is `ClassicLevel`. */
interface Database extends Level<string, Buffer> {
  compactRange(start: string, end: string): Promise<void>;
}
export type FrozenView = ReturnType<Database["snapshot"]>;

/** What the file `state` holds. */
export interface GenerationName {
  readonly number: number;
  readonly keyId: number;
}

export function encodeName({ number, keyId }: GenerationName): Buffer {
  return Buffer.from(`${number} ${keyId}\n`);
}

/** @throws {DataLossError} */
export function decodeName(bytes: Buffer): GenerationName {
  const [, number, keyId] = /^([1-9]\d{0,14})(?: ([1-9]\d{0,9}))?\n$/.exec(bytes.toString("latin1")) ?? [];
  if (number === undefined) throw new DataLossError("the file that names the state folder is damaged");
  return { number: Number(number), keyId: keyId === undefined ? FIRST_KEY_ID : Number(keyId) };
}

export interface GenerationOptions extends GenerationName {
  readonly folder: string;
  readonly keys: DataKeys;
  readonly random: Random;
}

/** @throws {DataLossError} the data key is gone. */
export async function openGeneration(options: GenerationOptions): Promise<Generation> {
  const { number, keyId, random } = options;
  const dataKey = options.keys.key(keyId);
  const db = new Level<string, Buffer>(options.folder, {
    keyEncoding: "utf8",
    valueEncoding: "buffer",
    compression: false, // ciphertext does not shrink
    cacheSize: CACHE_BYTES,
    writeBufferSize: WRITE_BUFFER_BYTES,
  });
  await openDatabase(db, options.folder);
  return new Generation(
    options,
    db as Database,
    new Sealer({ dataKey, purpose: `skein state ${number}`, random }),
  );
}

/** @throws {DataLossError} {UnavailableError} with the system's words: no space, no right, in use. */
async function openDatabase(db: Level<string, Buffer>, folder: string): Promise<void> {
  try {
    await db.open();
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const text = `the state in ${basename(folder)} cannot be opened: ${messageOf(cause)}`;
    const isDamaged = cause instanceof Error && "code" in cause && cause.code === "LEVEL_CORRUPTION";
    throw isDamaged ? new DataLossError(text, { cause }) : new UnavailableError(text, { cause });
  }
}

export class Generation implements GenerationName {
  readonly number: number;
  readonly keyId: number;
  readonly folder: string;
  readonly #db: Database;
  readonly #sealer: Sealer;
  #readers = 0;
  #unread: (() => void) | undefined;

  constructor({ number, keyId, folder }: GenerationOptions, db: Database, sealer: Sealer) {
    this.number = number;
    this.keyId = keyId;
    this.folder = folder;
    this.#db = db;
    this.#sealer = sealer;
  }

  async writePairs(
    pairs: readonly KeyValueChange[],
    meta: SnapshotMeta | undefined,
    sync: boolean,
  ): Promise<void> {
    const batch = this.#db.batch();
    for (const [at, { key, value }] of pairs.entries()) {
      if (at % PAIRS_PER_TURN === PAIRS_PER_TURN - 1) await setImmediate();
      const stored = PREFIX + key;
      if (value === undefined) batch.del(stored);
      else batch.put(stored, this.#sealer.seal(value, Buffer.from(stored)));
    }
    if (meta !== undefined) {
      batch.put(META, this.#sealer.seal(SnapshotMeta.encode(meta).finish(), Buffer.from(META)));
    }
    await batch.write({ sync });
    // A synced write syncs the database's newest log file alone. One before it may have been closed
    // unsynced, its table not written yet: asking for a compaction, of nothing, waits for that.
    if (sync) await this.#db.compactRange(NO_KEYS, NO_KEYS);
  }

  async meta(snapshot?: FrozenView): Promise<SnapshotMeta> {
    const stored = await this.#db.get(META, snapshot === undefined ? {} : { snapshot });
    return stored === undefined ? EMPTY : SnapshotMeta.decode(this.#sealer.open(stored, Buffer.from(META)));
  }

  /** A view that later writes do not disturb; whoever asks lets it go with `release`. */
  freeze(): FrozenView {
    const view = this.#db.snapshot();
    this.#readers += 1;
    return view;
  }

  async release(view: FrozenView): Promise<void> {
    await view.close();
    this.#readers -= 1;
    if (this.#readers === 0) this.#unread?.();
  }

  get isRead(): boolean {
    return this.#readers > 0;
  }

  /** Resolves when nobody reads it. */
  async unread(): Promise<void> {
    if (!this.isRead) return;
    await new Promise<void>((resolve) => {
      this.#unread = resolve;
    });
  }

  async *portions(
    snapshot: FrozenView,
    bytesMax: number,
    after?: string,
  ): AsyncGenerator<readonly KeyValuePair[]> {
    const from = after === undefined ? { gte: PREFIX } : { gt: PREFIX + after };
    const iterator = this.#db.iterator({ ...from, lt: PREFIX_END, snapshot, highWaterMarkBytes: READ_BYTES });
    try {
      let portion: KeyValuePair[] = [];
      let bytes = 0;
      for (;;) {
        const rows = await iterator.nextv(PAIRS_PER_READ);
        if (rows.length === 0) break;
        for (const [stored, sealed] of rows) {
          const value = this.#sealer.open(sealed, Buffer.from(stored));
          if (portion.length > 0 && bytes + stored.length + sealed.length > bytesMax) {
            yield portion;
            portion = [];
            bytes = 0;
          }
          portion.push({ key: stored.slice(PREFIX.length), value });
          bytes += stored.length + sealed.length;
        }
      }
      if (portion.length > 0) yield portion;
    } finally {
      await iterator.close();
    }
  }

  /**
   * After a write that failed: the log of the database may end in half a batch, and what would be appended
   * behind that could be skipped at the next start. Reading it anew cuts it off. Frozen views are closed by
   * it.
   */
  async reopen(): Promise<void> {
    await this.#db.close();
    await openDatabase(this.#db, this.folder);
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
