/**
 * Follows a change of the data keys through to its end: the log goes on under the new key, the state is
 * sealed anew, old segments go, and then the old keys. Pure over its parts. Invariants: each step leaves a
 * folder that a restart can open, whatever happens next, because a key goes last; what is left undone (a
 * full disk, entries that wait to be applied) is tried again, after a restart, too.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { DataKeyLock } from "../storage/data-key.js";
import type { RaftStorage } from "./raft-storage.js";

/** Ticks between two attempts: two seconds, then twice as many, up to a minute. */
const PAUSE_TICKS = { first: 20, max: 600 } as const;

export interface DataKeyUpkeepParts {
  readonly storage: Pick<RaftStorage, "keys" | "wal" | "state">;
  /** Takes off the log's files what the state holds. */
  readonly trimLog: () => Promise<void>;
  readonly log: Logger;
}

export class DataKeyUpkeep {
  readonly #parts: DataKeyUpkeepParts;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #ticksLeft = 0;
  #pauseTicks: number = PAUSE_TICKS.first;

  constructor(parts: DataKeyUpkeepParts) {
    this.#parts = parts;
  }

  /**
   * Follows the cluster to a rotation, unless the ring is as far. Resolves when whatever is appended from
   * then on is sealed under the new key; the rest goes on in the background.
   * @throws {ResourceExhaustedError} too many old keys are needed still.
   */
  async rotate(epoch: number): Promise<void> {
    if (await this.#parts.storage.keys.rotate(epoch)) await this.#goOnUnderNewKey();
  }

  /** Puts the keys under another lock, or none. Keys that stood open are replaced. */
  async relock(lock: DataKeyLock | undefined): Promise<void> {
    if (await this.#parts.storage.keys.relock(lock)) await this.#goOnUnderNewKey();
  }

  /** Goes on with what is not done yet, when its time has come. */
  tick(): void {
    if (this.#running !== undefined || this.#parts.storage.keys.ids.length === 1) return;
    this.#ticksLeft -= 1;
    if (this.#ticksLeft <= 0) this.#run();
  }

  /** Resolves when no attempt is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Stops between two portions. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #goOnUnderNewKey(): Promise<void> {
    const { storage, log } = this.#parts;
    log.info("made a new data key", { id: storage.keys.currentId });
    try {
      await storage.wal.rollOver();
    } catch (error) {
      log.warn("the log goes on under an old data key for now", { error: messageOf(error) });
    }
    this.#pauseTicks = PAUSE_TICKS.first;
    this.#run();
  }

  #run(): void {
    if (this.#abort.signal.aborted) return;
    this.#running ??= this.#pass().finally(() => {
      this.#running = undefined;
    });
  }

  async #pass(): Promise<void> {
    const { storage, trimLog, log } = this.#parts;
    const { keys, wal, state } = storage;
    const { signal } = this.#abort;
    try {
      await wal.rollOver();
      await state.reseal({ signal });
      if (signal.aborted) return;
      await trimLog();
      const gone = await keys.forgetUnused(() => [...wal.keyIds, ...state.keyIds]);
      if (gone.length > 0) log.info("nothing is sealed under old data keys any more", { forgotten: gone });
    } catch (error) {
      log.warn("old data keys are needed still; it is tried again", { error: messageOf(error) });
    }
    this.#ticksLeft = this.#pauseTicks;
    this.#pauseTicks = Math.min(this.#pauseTicks * 2, PAUSE_TICKS.max);
  }
}
