/**
 * Who hears of what happens to images. Pure. Invariant: a listener hears of an event after its effect, and
 * an error of one listener keeps the others from nothing.
 */
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import type { ImageEvent } from "./image-store.js";

export class ImageEvents {
  readonly #listeners = new Set<(event: ImageEvent) => void>();
  readonly #log: Logger;
  readonly #nowMs: () => number;

  constructor(options: { log: Logger; nowMs: () => number }) {
    this.#log = options.log;
    this.#nowMs = options.nowMs;
  }

  /** @returns the way to stop it. */
  listen(listener: (event: ImageEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @param labels the image's, as long as it is there. */
  emit(
    kind: ImageEvent["kind"],
    reference: string,
    imageId: string,
    labels: Readonly<Record<string, string>> = {},
  ): void {
    const event: ImageEvent = { kind, reference, imageId, labels, timeMs: this.#nowMs() };
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#log.error("a listener of image events failed", { kind, error: messageOf(error) });
      }
    }
  }
}
