/**
 * The manager's word to its daemon that the unlock key is another, and the daemon's answer. Pure over the
 * channel. One change at a time: the keeper waits for each.
 */
import { UnavailableError } from "../base/errors/errors.js";
import type { LockFollower } from "../manager/keys/key-keeper.js";
import type { FromManager } from "./manager-messages.js";

export class IpcLockFollower implements LockFollower {
  readonly #tell: (message: FromManager) => void;
  #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  constructor(tell: (message: FromManager) => void) {
    this.#tell = tell;
  }

  changing(unlockKey: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#tell({ kind: "lock-changing", unlockKey });
    });
  }

  changed(unlockKey: string): void {
    this.#tell({ kind: "lock-changed", unlockKey });
  }

  /** @param refusal why the daemon could not follow; "" when it has. */
  answered(refusal: string): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (refusal === "") waiting?.resolve();
    else waiting?.reject(new UnavailableError(refusal));
  }
}
