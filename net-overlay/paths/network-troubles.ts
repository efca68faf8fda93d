/**
 * What is wrong with the node's network, in words: who finds something says it under a key, and takes it
 * back.
 * Pure. Invariants: the text depends on what is wrong alone, not on the order in which it was found; it has
 * at most `TEXT_CHARACTERS_MAX`; listeners hear of changes of the text only.
 */
import type { Logger } from "../../base/log/logger.js";

/** More are counted, not told. */
const TOLD_MAX = 4;
/** Of one trouble's words. */
const WORDS_CHARACTERS_MAX = 200;
export const TEXT_CHARACTERS_MAX = TOLD_MAX * (WORDS_CHARACTERS_MAX + 2) + 40;

export class NetworkTroubles {
  readonly #log: Logger;
  readonly #words = new Map<string, string>();
  readonly #listeners = new Set<() => void>();
  #text = "";

  constructor(log: Logger) {
    this.#log = log;
  }

  /** "" while nothing is wrong. */
  get text(): string {
    return this.#text;
  }

  /** @param key tells this trouble from others; what is told of it replaces what was. */
  set(key: string, words: string): void {
    const short =
      words.length > WORDS_CHARACTERS_MAX ? `${words.slice(0, WORDS_CHARACTERS_MAX - 1)}…` : words;
    if (this.#words.get(key) === short) return;
    this.#words.set(key, short);
    this.#log.warn("network trouble", { trouble: short });
    this.#renew();
  }

  clear(key: string): void {
    const words = this.#words.get(key);
    if (words === undefined) return;
    this.#words.delete(key);
    this.#log.info("network trouble is over", { trouble: words });
    this.#renew();
  }

  /** Keeps, of those whose key begins so, the ones given. */
  retain(prefix: string, keys: ReadonlySet<string>): void {
    for (const key of [...this.#words.keys()]) if (key.startsWith(prefix) && !keys.has(key)) this.clear(key);
  }

  /** @returns what stops it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #renew(): void {
    const told = [...this.#words.keys()].sort().map((key) => this.#words.get(key) ?? "");
    const more = told.length - TOLD_MAX;
    const text = [...told.slice(0, TOLD_MAX), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
    if (text === this.#text) return;
    this.#text = text;
    for (const listener of [...this.#listeners]) listener();
  }
}
