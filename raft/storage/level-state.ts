/**
 * The materialised state in `level`. Edge: to the folders that level-generation.ts fills.
 *
 * The file `state` names the folder in use (`state-1`, `state-2`, …). A received snapshot, and the state
 * sealed anew under another data key, are written into a new folder and the name is switched, so that a
 * crash at any moment leaves one whole state. What goes on reading the old folder is let finish; then it is
 * removed.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "../../base/random/random.js";
import type { SnapshotMeta } from "../core/types.js";
import type { KeyValueChange } from "../host/raft-node.js";
import type { DataKeys } from "./data-key.js";
import type { Disk } from "./disk.js";
import {
  decodeName,
  encodeName,
  type Generation,
  type GenerationName,
  openGeneration,
} from "./level-generation.js";
import type { StateInstall, StateSnapshot, StateStore } from "./state-store.js";

const POINTER = "state";
const FOLDER = /^state-(\d+)$/;
/** Sealed anew at once: a few milliseconds' work, for which a write waits. */
const RESEAL_PORTION_BYTES = 128 * 1024;

export interface LevelStateOptions {
  readonly folder: string;
  /** The same folder as a disk. */
  readonly disk: Disk;
  readonly keys: DataKeys;
  readonly random: Random;
}

/** Opens the state, making an empty one in a new folder. @throws {DataLossError} */
export async function openLevelState(options: LevelStateOptions): Promise<StateStore> {
  const stored = await options.disk.read(POINTER);
  const named = stored === undefined ? { number: 1, keyId: options.keys.currentId } : decodeName(stored);
  for (const name of await readdir(options.folder)) {
    const number = Number(FOLDER.exec(name)?.[1] ?? named.number);
    if (number !== named.number) await rm(join(options.folder, name), { recursive: true, force: true });
  }
  const generation = await openFolder(options, named);
  try {
    const meta = await generation.meta();
    if (stored === undefined) await options.disk.replace(POINTER, encodeName(named));
    return new LevelState(options, generation, meta);
  } catch (error) {
    await generation.close();
    throw error;
  }
}

function openFolder(options: LevelStateOptions, name: GenerationName): Promise<Generation> {
  const { keys, random } = options;
  return openGeneration({ ...name, folder: join(options.folder, `state-${name.number}`), keys, random });
}

/** A copy that is being sealed anew, and gets every write meanwhile. */
interface Copy {
  readonly generation: Generation;
  /** Keys written since it began: what the frozen view holds of them is old. */
  readonly touched: Set<string>;
  failure: { readonly error: unknown } | undefined;
}

class LevelState implements StateStore {
  readonly #options: LevelStateOptions;
  #generation: Generation;
  #meta: SnapshotMeta;
  #highest: number;
  readonly #installing = new Set<GenerationName>();
  /** Old folders that somebody reads still. */
  readonly #retired = new Set<Generation>();
  #copy: Copy | undefined;
  #resealing: Promise<void> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** A write to it failed: it is opened anew before the next one. */
  #broken: Generation | undefined;
  /** The file that names the folder may name another one: it is written again before the next write. */
  #isNameUnsure = false;

  constructor(options: LevelStateOptions, generation: Generation, meta: SnapshotMeta) {
    this.#options = options;
    this.#generation = generation;
    this.#meta = meta;
    this.#highest = generation.number;
  }

  get meta(): SnapshotMeta {
    return this.#meta;
  }

  get keyIds(): readonly number[] {
    const names = [this.#generation, ...this.#installing];
    return [...new Set(names.map(({ keyId }) => keyId))];
  }

  write(batch: { meta: SnapshotMeta; changes: readonly KeyValueChange[]; sync?: boolean }): Promise<void> {
    return this.#exclusively(async () => {
      try {
        await this.#mend();
        await this.#generation.writePairs(batch.changes, batch.meta, batch.sync ?? false);
      } catch (error) {
        this.#broken = this.#generation;
        if (this.#copy !== undefined) this.#copy.failure ??= { error }; // whether it was written is not known
        throw error;
      }
      this.#meta = batch.meta;
      await this.#writeToCopy(batch.changes);
    });
  }

  async snapshot(): Promise<StateSnapshot> {
    const generation = this.#generation;
    const frozen = generation.freeze();
    try {
      return {
        meta: await generation.meta(frozen),
        portions: (bytesMax, after) => generation.portions(frozen, bytesMax, after),
        close: once(() => generation.release(frozen)),
      };
    } catch (error) {
      await generation.release(frozen);
      throw error;
    }
  }

  async beginInstall(meta: SnapshotMeta): Promise<StateInstall> {
    const name = this.#newName();
    this.#installing.add(name);
    let next: Generation;
    try {
      next = await openFolder(this.#options, name);
    } catch (error) {
      this.#installing.delete(name);
      throw error;
    }
    let open = true;
    return {
      add: (pairs) => next.writePairs(pairs, undefined, false),
      commit: () =>
        this.#exclusively(async () => {
          open = false;
          try {
            await this.#switchTo(next, meta);
          } catch (error) {
            await next.close(); // its folder stays: the next start may find it in use
            throw error;
          }
          this.#installing.delete(name);
        }),
      abort: async () => {
        if (!open) return;
        open = false;
        this.#installing.delete(name);
        await discard(next);
      },
    };
  }

  /** Copies into a new folder under the current data key; twice the disk space meanwhile. */
  reseal(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#resealing ??= this.#reseal(options.signal).finally(() => {
      this.#resealing = undefined;
    });
    return this.#resealing;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#resealing?.catch(() => undefined); // its caller hears of it
    await this.#turn.catch(() => undefined); // as do those who wrote
    for (const generation of this.#retired) await generation.close();
    await this.#generation.close();
  }

  async #mend(): Promise<void> {
    if (this.#isNameUnsure) {
      await this.#options.disk.replace(POINTER, encodeName(this.#generation));
      this.#isNameUnsure = false;
    }
    if (this.#broken !== this.#generation) return;
    await this.#generation.reopen();
    this.#meta = await this.#generation.meta();
    this.#broken = undefined;
  }

  async #reseal(signal: AbortSignal | undefined): Promise<void> {
    if (this.#generation.keyId === this.#options.keys.currentId) return;
    const generation = await openFolder(this.#options, this.#newName());
    const copy: Copy = { generation, touched: new Set(), failure: undefined };
    let done = false;
    try {
      const old = await this.#copyTo(copy, signal);
      await this.#exclusively(async () => {
        if (copy.failure !== undefined) throw copy.failure.error;
        // A snapshot that was installed meanwhile is sealed anew by itself.
        if (this.#generation !== old || signal?.aborted === true) return;
        await this.#switchTo(generation, this.#meta);
        done = true;
      });
    } finally {
      this.#copy = undefined;
      if (this.#isNameUnsure)
        await generation.close(); // the next start may find it in use
      else if (!done) await discard(generation);
    }
  }

  /** @returns what was copied. From its first moment every write goes to the copy, too. */
  async #copyTo(copy: Copy, signal: AbortSignal | undefined): Promise<Generation> {
    const { old, view } = await this.#exclusively(async () => {
      this.#copy = copy;
      return { old: this.#generation, view: this.#generation.freeze() };
    });
    try {
      for await (const portion of old.portions(view, RESEAL_PORTION_BYTES)) {
        if (this.#generation !== old || signal?.aborted === true || copy.failure !== undefined) break;
        await this.#exclusively(async () => {
          const untouched = portion.filter(({ key }) => !copy.touched.has(key));
          await copy.generation.writePairs(untouched, undefined, false);
        });
      }
    } finally {
      await old.release(view);
    }
    return old;
  }

  /** A copy that cannot be written is given up; the write itself has succeeded. */
  async #writeToCopy(changes: readonly KeyValueChange[]): Promise<void> {
    const copy = this.#copy;
    if (copy === undefined || copy.failure !== undefined) return;
    for (const { key } of changes) copy.touched.add(key);
    try {
      await copy.generation.writePairs(changes, undefined, false);
    } catch (error) {
      copy.failure = { error };
    }
  }

  /**
   * When it fails the file may name either folder, because it may have been replaced without that being
   * durable. Both are whole, and stay so: nothing is written until the name is sure, and neither is removed.
   */
  async #switchTo(next: Generation, meta: SnapshotMeta): Promise<void> {
    await next.writePairs([], meta, true); // syncs what was written before, too
    this.#isNameUnsure = true;
    await this.#options.disk.replace(POINTER, encodeName(next));
    this.#isNameUnsure = false;
    const old = this.#generation;
    this.#generation = next;
    this.#meta = meta;
    const ignore = (): void => undefined; // the old one is not needed: the next start removes it
    if (!old.isRead) return discard(old).then(undefined, ignore);
    this.#retired.add(old);
    old
      .unread()
      .then(async () => {
        if (this.#closed) return; // closed with the rest, and removed at the next start
        this.#retired.delete(old);
        await discard(old);
      })
      .then(undefined, ignore);
  }

  #newName(): GenerationName {
    this.#highest += 1;
    return { number: this.#highest, keyId: this.#options.keys.currentId };
  }

  #exclusively<T>(operation: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(operation, operation);
    this.#turn = turn;
    return turn;
  }
}

async function discard(generation: Generation): Promise<void> {
  await generation.close();
  await rm(generation.folder, { recursive: true, force: true });
}

function once(end: () => Promise<void>): () => Promise<void> {
  let ended: Promise<void> | undefined;
  return () => {
    ended ??= end();
    return ended;
  };
}
