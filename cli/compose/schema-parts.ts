/**
 * Building blocks of the compose file's schema. Pure (data). Two keywords of our own mark keys that the
 * Compose Specification has
 * and that mean nothing here: `ignored` (a warning names them) and `refused` (leaving them out would run
 * something else than asked for).
 */

export type Schema = { readonly [keyword: string]: unknown };

export const STRING: Schema = { type: "string" };
export const BOOLEAN: Schema = { type: "boolean" };
export const INTEGER: Schema = { type: "integer" };
export const COUNT: Schema = { type: "integer", minimum: 0 };
export const SCALAR: Schema = { type: ["string", "number", "boolean"] };
export const DURATION: Schema = { type: "string", format: "duration" };
export const BYTES: Schema = { type: ["string", "integer"], format: "bytes", minimum: 0 };
export const CPUS: Schema = { type: ["string", "number"], format: "cpus", minimum: 0 };
export const STRINGS: Schema = { type: "array", items: STRING };
export const STRING_OR_STRINGS: Schema = { type: ["string", "array"], items: STRING };
/** `[KEY=VALUE]` or `{KEY: VALUE}`. */
export const PAIRS: Schema = {
  type: ["array", "object"],
  items: SCALAR,
  additionalProperties: { type: ["string", "number", "boolean", "null"] },
};
export const STRING_MAP: Schema = {
  type: "object",
  additionalProperties: { type: ["string", "number", "boolean"] },
};
/** A user id or group id: a number, or a string of digits. */
export const ID: Schema = { type: ["string", "integer"], format: "id" };
/** A file mode: YAML's octal number, or a string of octal digits. */
export const MODE: Schema = { type: ["integer", "string"], minimum: 0, maximum: 0o7777, format: "mode" };

export const ignored = (reason: string): Schema => ({ ignored: reason });
export const refused = (reason: string): Schema => ({ refused: reason });

export const oneOf = (...words: readonly string[]): Schema => ({ type: "string", enum: words });

/** An object with these keys, `x-…` keys, and no others. */
export function object(properties: Readonly<Record<string, Schema>>, more: Schema = {}): Schema {
  return {
    type: "object",
    properties,
    patternProperties: { "^x-": {} },
    additionalProperties: false,
    ...more,
  };
}

/** A short form (string or number) or the object. */
export function shortOr(
  short: readonly string[],
  properties: Readonly<Record<string, Schema>>,
  more: Schema = {},
): Schema {
  return { ...object(properties, more), type: [...short, "object"] };
}

export function mapOf(value: Schema, more: Schema = {}): Schema {
  return { type: "object", additionalProperties: value, ...more };
}
