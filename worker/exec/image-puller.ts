/**
 * Makes sure an image is here, as a task's pull policy wants it: one pull for all tasks that want the same at
 * the same time.
 * Pure. Invariants: a pull is cancelled only when nobody wants it any more; its failure carries the
 * registry's words; what is named by its digest and is here is asked for again by "always" alone.
 * Bound: `PULLED_MAX` times of pulls are remembered; of older ones the image says when it was named.
 */
import { CancelledError, InvalidArgumentError } from "../../base/errors/errors.js";
import { parsePullPolicy } from "../../proto/engine/pull-policy.js";
import type { ImageRecord, ImageStore } from "../images/image-store.js";
import { pullFailure, TaskFailureError } from "./failure-cause.js";
import { parseRegistryAuth } from "./registry-auth.js";

const PULLED_MAX = 1_000;

interface Pull {
  readonly done: Promise<void>;
  readonly abort: AbortController;
  wanted: number;
}

export interface WantedImage {
  readonly reference: string;
  /** As clients send them; "": none. */
  readonly auth: string;
  /** "" : when it is missing. */
  readonly policy: string;
}

export class ImagePuller {
  readonly #images: ImageStore;
  readonly #nowMs: () => number;
  readonly #pulls = new Map<string, Pull>();
  /** When each reference was last pulled, the latest at the end. */
  readonly #pulledMs = new Map<string, number>();

  /** @param nowMs wall clock, which what lasts over a restart is measured with. */
  constructor(images: ImageStore, nowMs: () => number) {
    this.#images = images;
    this.#nowMs = nowMs;
  }

  /**
   * @throws {TaskFailureError} the pull failed, or the policy allows none; {CancelledError};
   * {InvalidArgumentError} malformed credentials or policy.
   */
  async ensure(wanted: WantedImage, signal: AbortSignal): Promise<void> {
    if (!this.#isDue(wanted)) return;
    const { reference, auth } = wanted;
    const key = `${reference} ${auth}`; // never shown
    const pull = this.#pulls.get(key) ?? this.#begin(key, reference, auth);
    pull.wanted += 1;
    try {
      await orCancelled(pull.done, signal);
    } catch (error) {
      if (!this.#isEnough(wanted, error)) throw error;
    } finally {
      pull.wanted -= 1;
      if (pull.wanted === 0) {
        this.#forget(key, pull); // who comes now begins another
        pull.abort.abort();
      }
    }
  }

  #isDue({ reference, policy }: WantedImage): boolean {
    const parsed = parsePullPolicy(policy);
    if (parsed === undefined) throw new InvalidArgumentError(`unknown pull policy ${JSON.stringify(policy)}`);
    const image = this.#images.find(reference);
    if (parsed.kind === "always") return true;
    if (parsed.kind === "never" && image === undefined)
      throw new TaskFailureError(
        "image-not-found",
        `No such image: ${reference}, and its pull policy is never`,
        { code: "not-found" },
      );
    if (image === undefined) return true;
    if (parsed.kind !== "every" || reference.includes("@")) return false;
    return this.#nowMs() - this.#lastPulledMs(reference, image) >= parsed.periodMs;
  }

  /** What was due to be looked for again serves on while its registry is out of reach. */
  #isEnough({ reference, policy }: WantedImage, error: unknown): boolean {
    const isAway = error instanceof TaskFailureError && error.failureCause === "registry-unavailable";
    return isAway && parsePullPolicy(policy)?.kind === "every" && this.#images.find(reference) !== undefined;
  }

  #lastPulledMs(reference: string, image: ImageRecord): number {
    return this.#pulledMs.get(reference) ?? image.lastTaggedMs ?? 0;
  }

  #begin(key: string, reference: string, encodedAuth: string): Pull {
    const abort = new AbortController();
    const run = async (): Promise<void> => {
      try {
        const auth = parseRegistryAuth(encodedAuth);
        await this.#images.pull(reference, { signal: abort.signal, ...(auth === undefined ? {} : { auth }) });
        this.#remember(reference);
      } catch (error) {
        throw pullFailure(error);
      }
    };
    const pull: Pull = { done: run().finally(() => this.#forget(key, pull)), abort, wanted: 0 };
    this.#pulls.set(key, pull);
    return pull;
  }

  #forget(key: string, pull: Pull): void {
    if (this.#pulls.get(key) === pull) this.#pulls.delete(key);
  }

  #remember(reference: string): void {
    this.#pulledMs.delete(reference);
    this.#pulledMs.set(reference, this.#nowMs());
    const [oldest] = this.#pulledMs.keys();
    if (this.#pulledMs.size > PULLED_MAX && oldest !== undefined) this.#pulledMs.delete(oldest);
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
