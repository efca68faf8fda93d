/**
 * A JSON object laid out as Go's encoder would after Go's decoder read it: known keys in their own spelling
 * and order, zero values where a struct has them, left out where it says omitempty.
 * Pure. Unknown keys do not pass: whoever reads the request names them (Fields.unread).
 */
import type { JsonObject, JsonValue } from "./shape.js";

export interface GoField {
  readonly key: string;
  /** What stands there when nothing was said; undefined: nothing (omitempty). */
  readonly zero?: JsonValue;
  /** The struct it holds, or each element of its list or map. */
  readonly shape?: GoShape;
  readonly of?: "struct" | "list" | "map" | "map of lists";
  /** Behind a pointer: left out when nothing was said, shown when zero was. */
  readonly pointer?: true;
}

export type GoShape = readonly GoField[];

type Unknowns = Readonly<Record<string, unknown>>;

/** @returns fields of one zero value, in a row. */
export function fieldsOf(zero: JsonValue | undefined, keys: string): GoField[] {
  return keys.split(" ").map((key) => (zero === undefined ? { key } : { key, zero }));
}

export function laidOut(shape: GoShape, value: unknown): JsonObject {
  const given = new Map(Object.entries(asObject(value)).map(([key, inner]) => [key.toLowerCase(), inner]));
  const out: Record<string, JsonValue> = {};
  for (const field of shape) {
    const inner = converted(field, given.get(field.key.toLowerCase()));
    const shown = field.zero !== undefined || field.pointer === true;
    if (inner !== undefined && (shown || !isGoEmpty(inner, field.of === "struct"))) out[field.key] = inner;
  }
  return out;
}

function converted({ shape, of, zero }: GoField, value: unknown): JsonValue | undefined {
  if (value === undefined || value === null) return zero;
  if (shape === undefined) return value as JsonValue; // it came out of JSON.parse
  switch (of) {
    case "list":
      return asList(value).map((item) => laidOut(shape, item));
    case "map":
      return mapValues(value, (item) => laidOut(shape, item));
    case "map of lists":
      return mapValues(value, (item) =>
        item === null ? null : asList(item).map((one) => laidOut(shape, one)),
      );
    default:
      return laidOut(shape, value);
  }
}

function mapValues(value: unknown, change: (item: unknown) => JsonValue): JsonObject {
  return Object.fromEntries(Object.entries(asObject(value)).map(([key, item]) => [key, change(item)]));
}

function asObject(value: unknown): Unknowns {
  // what is no object has been refused by whoever read the request
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Unknowns) : {};
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Go's omitempty: false, 0, "", nil, empty list or map; a struct behind a pointer stays. */
function isGoEmpty(value: JsonValue, isStruct: boolean): boolean {
  if (value === "" || value === 0 || value === false || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  return !isStruct && typeof value === "object" && Object.keys(value).length === 0;
}
