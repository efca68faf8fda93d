/**
 * Reads a JSON object the way Go's decoder does: keys in any case, null as absent. Pure.
 * It remembers which keys were asked for, so that what nobody honours can be named instead of dropped in
 * silence.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

type Json = unknown;

/** What they hold is never quoted. */
const SECRET_KEYS = new Set([
  "data",
  "password",
  "identitytoken",
  "registrytoken",
  "jointoken",
  "unlockkey",
  "signingcakey",
]);

export class Fields {
  readonly #values = new Map<string, { readonly key: string; readonly value: Json }>();
  readonly #asked = new Set<string>();
  readonly #children: Fields[] = [];
  readonly path: string;

  private constructor(value: Readonly<Record<string, Json>>, path: string) {
    this.path = path;
    for (const [key, inner] of Object.entries(value)) {
      if (inner !== null && inner !== undefined) this.#values.set(key.toLowerCase(), { key, value: inner });
    }
  }

  /** @throws {InvalidArgumentError} not a JSON object. */
  static of(value: Json, path = "body"): Fields {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new InvalidArgumentError(`${path} must be a JSON object, got ${describe(value)}`);
    }
    return new Fields(value as Readonly<Record<string, Json>>, path); // checked above
  }

  #take(key: string): Json {
    this.#asked.add(key.toLowerCase());
    return this.#values.get(key.toLowerCase())?.value;
  }

  #wrong(key: string, rule: string, value: Json): InvalidArgumentError {
    const found = SECRET_KEYS.has(key.toLowerCase()) ? "something else" : describe(value);
    return new InvalidArgumentError(`${this.path}.${key} must be ${rule}, got ${found}`);
  }

  has(key: string): boolean {
    return this.#values.has(key.toLowerCase());
  }

  /** As they were spelled, in their order. */
  keys(): string[] {
    return [...this.#values.values()].map(({ key }) => key);
  }

  /** The raw value; undefined when absent. */
  raw(key: string): Json {
    return this.#take(key);
  }

  /** @returns "" when absent. */
  string(key: string): string {
    const value = this.#take(key);
    if (value === undefined) return "";
    if (typeof value !== "string") throw this.#wrong(key, "a string", value);
    return value;
  }

  optionalNumber(key: string): number | undefined {
    const value = this.#take(key);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.#wrong(key, "a number", value);
    return value;
  }

  /** An integer within what 2^53 holds; `min` by default 0. @returns 0 when absent. */
  integer(key: string, options: { min?: number } = {}): number {
    return this.optionalInteger(key, options) ?? 0;
  }

  optionalInteger(key: string, options: { min?: number } = {}): number | undefined {
    const value = this.optionalNumber(key);
    if (value === undefined) return undefined;
    const min = options.min ?? 0;
    if (!Number.isSafeInteger(value) || value < min)
      throw this.#wrong(key, `an integer of at least ${min}`, value);
    return value;
  }

  bool(key: string): boolean {
    return this.optionalBool(key) ?? false;
  }

  optionalBool(key: string): boolean | undefined {
    const value = this.#take(key);
    if (value === undefined) return undefined;
    if (typeof value !== "boolean") throw this.#wrong(key, "true or false", value);
    return value;
  }

  /** A duration in nanoseconds on the wire, milliseconds inside. */
  optionalDurationMs(key: string): number | undefined {
    const value = this.optionalNumber(key);
    return value === undefined ? undefined : value / 1e6;
  }

  strings(key: string): string[] {
    const value = this.#take(key);
    if (value === undefined) return [];
    if (typeof value === "string") return [value];
    if (!Array.isArray(value) || value.some((item) => typeof item !== "string"))
      throw this.#wrong(key, "a list of strings", value);
    return value as string[]; // checked above
  }

  stringMap(key: string): Record<string, string> {
    const value = this.#take(key);
    if (value === undefined) return {};
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw this.#wrong(key, "a map of strings", value);
    const entries = Object.entries(value);
    const bad = entries.find(([, inner]) => typeof inner !== "string");
    if (bad !== undefined) throw this.#wrong(`${key}.${bad[0]}`, "a string", bad[1]);
    return Object.fromEntries(entries) as Record<string, string>; // checked above
  }

  object(key: string): Fields | undefined {
    const value = this.#take(key);
    if (value === undefined) return undefined;
    const child = Fields.of(value, `${this.path}.${key}`);
    this.#children.push(child);
    return child;
  }

  objects(key: string): Fields[] {
    const value = this.#take(key);
    if (value === undefined) return [];
    if (!Array.isArray(value)) throw this.#wrong(key, "a list", value);
    const children = value.map((item, i) => Fields.of(item, `${this.path}.${key}[${i}]`));
    this.#children.push(...children);
    return children;
  }

  /** One of a set of words; "" counts as the first. */
  oneOf<T>(key: string, words: Readonly<Record<string, T>>): T {
    const text = this.string(key);
    const names = Object.keys(words);
    const word = text === "" ? (names[0] ?? "") : text;
    const value = Object.hasOwn(words, word) ? words[word] : undefined; // "constructor" is no word of ours
    if (value === undefined) throw this.#wrong(key, `one of ${names.join(", ")}`, text);
    return value;
  }

  /** Paths of keys that hold something and that nobody asked for, here and below. */
  unread(): string[] {
    const own = [...this.#values]
      .filter(([lower, { value }]) => !this.#asked.has(lower) && !isEmpty(value))
      .map(([, { key }]) => `${this.path}.${key}`);
    return [...own, ...this.#children.flatMap((child) => child.unread())];
  }
}

function isEmpty(value: Json): boolean {
  if (value === null || value === undefined || value === "" || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.values(value).every(isEmpty);
}

function describe(value: Json): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
