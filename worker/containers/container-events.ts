/**
 * Tells listeners what happens to containers. Pure.
 * What happened before anybody listened (exits found when opening) waits for the first listener; 1024 at
 * most, the oldest are dropped.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { ContainerEvent, ContainerRecord } from "./container-manager.js";

const UNTOLD_MAX = 1_024;

export class ContainerEvents {
  readonly #clock: Clock;
  readonly #listeners = new Set<(event: ContainerEvent) => void>();
  #untold: ContainerEvent[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  emit(
    kind: ContainerEvent["kind"],
    container: ContainerRecord,
    attributes?: ContainerEvent["attributes"],
  ): void {
    const event: ContainerEvent = {
      kind,
      container,
      timeMs: this.#clock.nowMs(),
      ...(attributes === undefined ? {} : { attributes }),
    };
    if (this.#listeners.size === 0) {
      this.#untold.push(event);
      if (this.#untold.length > UNTOLD_MAX) this.#untold.shift();
    }
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** @returns the way to stop listening. */
  listen(listener: (event: ContainerEvent) => void): () => void {
    this.#listeners.add(listener);
    const untold = this.#untold;
    this.#untold = [];
    for (const event of untold) listener(event);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
