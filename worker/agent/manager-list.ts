/**
 * Which manager to turn to next.
 * Pure. Invariant: every known manager is tried once before any is tried again;
 * the one that just failed comes last.
 */
import type { Random } from "../../base/random/random.js";
import { MANAGERS_MAX } from "./manager-connection.js";

export class ManagerList {
  readonly #random: Random;
  #addresses: readonly string[] = [];
  #tried = new Set<string>();

  constructor(random: Random, addresses: readonly string[]) {
    this.#random = random;
    this.update(addresses);
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** An empty list changes nothing: it would leave the agent with nobody to ask. */
  update(addresses: readonly string[]): void {
    const known = [...new Set(addresses)].filter((address) => address !== "").slice(0, MANAGERS_MAX);
    if (known.length > 0) this.#addresses = known;
  }

  /** @returns the address to try; `round` is true when all others have been tried without success. */
  next(): { readonly address: string | undefined; readonly round: boolean } {
    let candidates = this.#addresses.filter((address) => !this.#tried.has(address));
    const round = candidates.length === 0;
    if (round) {
      this.#tried = new Set();
      candidates = [...this.#addresses];
    }
    const address = candidates[this.#random.int(0, Math.max(1, candidates.length))];
    if (address !== undefined) this.#tried.add(address);
    return { address, round };
  }

  /** A session began: when it ends, all others are fresh, and its own manager is not the first choice. */
  succeeded(address: string): void {
    this.#tried = new Set([address]);
  }
}
