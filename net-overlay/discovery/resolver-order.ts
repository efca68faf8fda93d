/**
 * In which order resolvers are asked: as they are listed, those that did not answer lately behind the others.
 * Pure over a clock handed in. Invariants: a resolver that failed is tried again after REST_MS at the latest,
 * or when it is the only one; the order among equals is that of the list, as resolv.conf(5) says.
 */
import type { Clock } from "../../base/clock/clock.js";

/** How long a resolver that did not answer is asked last. */
const REST_MS = 10_000;
/** Resolvers remembered; those of all services of a node fit by far. */
const REMEMBERED_MAX = 256;

export class ResolverOrder {
  readonly #clock: Clock;
  readonly #failedAtMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  order(resolvers: readonly string[]): readonly string[] {
    if (this.#failedAtMs.size === 0) return resolvers;
    const now = this.#clock.monotonicMs();
    const isResting = (resolver: string): boolean => {
      const atMs = this.#failedAtMs.get(resolver);
      return atMs !== undefined && now - atMs < REST_MS;
    };
    return [...resolvers.filter((one) => !isResting(one)), ...resolvers.filter(isResting)];
  }

  failed(resolver: string): void {
    this.#failedAtMs.delete(resolver);
    this.#failedAtMs.set(resolver, this.#clock.monotonicMs());
    if (this.#failedAtMs.size <= REMEMBERED_MAX) return;
    for (const oldest of this.#failedAtMs.keys()) {
      this.#failedAtMs.delete(oldest);
      return;
    }
  }

  answered(resolver: string): void {
    this.#failedAtMs.delete(resolver);
  }
}
