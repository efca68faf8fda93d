/**
 * What this node's files are locked under, and how that changes: the manager hears of another unlock key,
 * the identity is saved under it with the old key inside, then the manager's data keys follow, then the old
 * key is forgotten. Edge: to nothing itself; whoever binds it saves. Invariants: the keys live here and in
 * the manager's memory only; whatever write a crash cuts short, one key opens everything: the old one
 * before the identity was saved, the new one after.
 */
import { UnavailableError } from "../base/errors/errors.js";
import { type FileLock, NO_LOCK } from "./sealed-identity.js";

export interface LockedFiles {
  /** Saves the identity under `NodeLock.current`. */
  readonly save: () => void;
  /** What is locked now stood open before: the private key should be renewed. */
  readonly stoodOpen: () => void;
}

export class NodeLock {
  #current: FileLock = NO_LOCK;
  #stoodOpen = false;
  #files: LockedFiles | undefined;

  get current(): FileLock {
    return this.#current;
  }

  /** A manager's files are under this lock: they were found so, or are about to be written so. */
  reset(lock: FileLock = NO_LOCK): void {
    this.#current = lock;
    this.#stoodOpen = false;
  }

  bind(files: LockedFiles): void {
    this.#files = files;
  }

  /** The node is no manager any more, or no member. */
  release(): void {
    this.#files = undefined;
    this.reset();
  }

  /**
   * The cluster's unlock key is another. @throws when the identity cannot be saved: nothing has changed
   * then.
   */
  changing(unlockKey: string): void {
    const files = this.#files;
    if (files === undefined) throw new UnavailableError("this node has not saved its identity yet");
    const before = this.#current;
    if (before.unlockKey === unlockKey) return;
    const former = [before.unlockKey, ...before.former].filter((key) => key !== "" && key !== unlockKey);
    this.#current = { unlockKey, former: [...new Set(former)] };
    try {
      files.save();
    } catch (error) {
      this.#current = before;
      throw error;
    }
    this.#stoodOpen ||= before.unlockKey === "";
  }

  /**
   * Every file is under this key, as far as the manager knows.
   * @throws when the identity cannot be saved: it holds the keys of before, inside the seal, until it is
   * saved again.
   */
  changed(unlockKey: string): void {
    const files = this.#files;
    const { unlockKey: current, former } = this.#current;
    if (files === undefined || current !== unlockKey) return;
    const isNewlyLocked = this.#stoodOpen && unlockKey !== "";
    this.#stoodOpen = false;
    this.#current = { unlockKey, former: [] };
    try {
      if (former.length > 0) files.save();
    } finally {
      if (isNewlyLocked) files.stoodOpen();
    }
  }
}
