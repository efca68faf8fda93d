/**
 * Small rules of Docker's JSON: zero values dropped, times as RFC 3339, durations as nanoseconds. Pure.
 */

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };
export type JsonObject = { readonly [key: string]: JsonValue | undefined };

function isZero(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** Drops zero values (Go's omitempty), also nested objects that come out empty. */
export function omitEmpty(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => !isZero(value)));
}

/** As omitEmpty, but undefined when nothing is left. */
export function orAbsent(object: JsonObject): JsonObject | undefined {
  const left = omitEmpty(object);
  return Object.keys(left).length === 0 ? undefined : left;
}

export const ZERO_TIME = "0001-01-01T00:00:00Z";

/** Milliseconds since the epoch, fractions allowed, as RFC 3339 with nanoseconds; 0 is Go's zero time. */
export function timeText(ms: number): string {
  if (ms === 0) return ZERO_TIME;
  const whole = Math.floor(ms / 1000);
  const nanos = Math.round((ms - whole * 1000) * 1e6);
  const base = new Date(whole * 1000).toISOString().slice(0, 19);
  return nanos === 0 ? `${base}Z` : `${base}.${String(nanos).padStart(9, "0").replace(/0+$/, "")}Z`;
}

/** Milliseconds as integer nanoseconds. */
export function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6);
}

/** "1700000000.5", "2024-01-01T00:00:00Z" or "" as milliseconds; undefined when it is neither. */
export function parseTime(text: string): number | undefined {
  if (text === "" || text === "0") return 0;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
