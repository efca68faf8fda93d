/**
 * Makes sure an image is here: no pull when it is, one pull for all tasks that want it at the same time.
 * Pure. Invariant: a pull is cancelled only when nobody wants it any more;
 * its failure carries the registry's words.
 */
import { CancelledError } from "../../base/errors/errors.js";
import type { ImageStore } from "../images/image-store.js";
import { pullFailure } from "./failure-cause.js";
import { parseRegistryAuth } from "./registry-auth.js";

interface Pull {
  readonly done: Promise<void>;
  readonly abort: AbortController;
  wanted: number;
}

export class ImagePuller {
  readonly #images: ImageStore;
  readonly #pulls = new Map<string, Pull>();

  constructor(images: ImageStore) {
    this.#images = images;
  }

  /**
   * @throws {TaskFailureError} the pull failed; {CancelledError};
   * {InvalidArgumentError} malformed credentials.
   */
  async ensure(reference: string, encodedAuth: string, signal: AbortSignal): Promise<void> {
    if (this.#images.find(reference) !== undefined) return;
    const key = `${reference} ${encodedAuth}`; // never shown
    const pull = this.#pulls.get(key) ?? this.#begin(key, reference, encodedAuth);
    pull.wanted += 1;
    try {
      await orCancelled(pull.done, signal);
    } finally {
      pull.wanted -= 1;
      if (pull.wanted === 0) pull.abort.abort();
    }
  }

  #begin(key: string, reference: string, encodedAuth: string): Pull {
    const abort = new AbortController();
    const run = async (): Promise<void> => {
      try {
        const auth = parseRegistryAuth(encodedAuth);
        await this.#images.pull(reference, { signal: abort.signal, ...(auth === undefined ? {} : { auth }) });
      } catch (error) {
        throw pullFailure(error);
      } finally {
        this.#pulls.delete(key);
      }
    };
    const pull: Pull = { done: run(), abort, wanted: 0 };
    this.#pulls.set(key, pull);
    return pull;
  }
}

function orCancelled(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new CancelledError("the pull was cancelled"));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
