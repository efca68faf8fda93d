/**
 * The key sequence by which a client at a terminal lets go of a container. Pure.
 * Source: Docker's --detach-keys: parts by comma, each a letter, or ctrl- with a to z, @, [, \, ], ^ or _.
 * Invariant: what is not the whole sequence reaches the container unchanged, in order.
 */
import { InvalidArgumentError } from "../base/errors/errors.js";

const DEFAULT_KEYS = Uint8Array.of(16, 17); // ctrl-p,ctrl-q
const KEYS_MAX = 64;

/** @param text "" : ctrl-p,ctrl-q. @throws {InvalidArgumentError} not a sequence of keys. */
export function parseDetachKeys(text: string): Uint8Array {
  if (text === "") return DEFAULT_KEYS;
  const parts = text.split(",");
  if (parts.length > KEYS_MAX) throw invalid(text);
  return Uint8Array.from(parts, (part) => {
    if (part.length === 1) return part.charCodeAt(0) < 128 ? part.charCodeAt(0) : fail(text);
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(part)?.[1];
    if (control === undefined) throw invalid(text);
    return control.toUpperCase().charCodeAt(0) - 64;
  });
}

function fail(text: string): never {
  throw invalid(text);
}

function invalid(text: string): InvalidArgumentError {
  return new InvalidArgumentError(`Invalid detach keys (${text}) provided`);
}

/** Watches input for the sequence, also over the borders of what is pushed. */
export class DetachWatch {
  readonly #keys: Uint8Array;
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** @returns what goes to the container, and whether the sequence was completed: the rest is dropped then. */
  push(data: Uint8Array): { readonly data: Uint8Array; readonly detached: boolean } {
    const keys = this.#keys;
    if (keys.length === 0) return { data, detached: false };
    if (this.#matched === 0 && !data.includes(keys[0] ?? -1)) return { data, detached: false };
    const out: number[] = [];
    for (const byte of data) {
      while (this.#matched > 0 && byte !== keys[this.#matched]) this.#fallBack(out);
      if (byte !== keys[this.#matched]) {
        out.push(byte);
        continue;
      }
      this.#matched += 1;
      if (this.#matched === keys.length) {
        this.#matched = 0;
        return { data: Uint8Array.from(out), detached: true };
      }
    }
    return { data: Uint8Array.from(out), detached: false };
  }

  /** Lets the shortest beginning go after which the rest can still be a beginning of the sequence. */
  #fallBack(out: number[]): void {
    const keys = this.#keys;
    const held = keys.subarray(0, this.#matched);
    let gone = 1;
    while (gone < held.length && !held.subarray(gone).every((byte, at) => byte === keys[at])) gone += 1;
    out.push(...held.subarray(0, gone));
    this.#matched -= gone;
  }

  /** What was held back when the input ends. */
  flush(): Uint8Array {
    const held = this.#keys.slice(0, this.#matched);
    this.#matched = 0;
    return held;
  }
}
