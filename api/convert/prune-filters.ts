/**
 * Filters that every prune shares: made before a time, with or without labels. Pure.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { Filters } from "../filters.js";
import { parseTime } from "./shape.js";

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's "1h30m", "1.5h", "300ms" in milliseconds; undefined when it is none. */
export function parseGoDuration(text: string): number | undefined {
  if (!/^([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, number, unit = ""] of text.matchAll(/([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)/g))
    ms += Number(number) * (UNITS_MS[unit] ?? 0);
  return ms;
}

/** The time of the `until` filter; undefined when there is none. @throws {InvalidArgumentError} */
export function untilOf(filters: Filters, nowMs: number): number | undefined {
  const values = filters.get("until") ?? [];
  const [text] = values;
  if (text === undefined) return undefined;
  if (values.length > 1) throw new InvalidArgumentError("more than one until filter specified");
  const ago = parseGoDuration(text);
  const atMs = ago === undefined ? parseTime(text) : nowMs - ago;
  if (atMs === undefined || text === "")
    throw new InvalidArgumentError(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return atMs;
}

/** "key" or "key=value": every one of `label`, none of `label!`. */
export function labelsMatch(filters: Filters, labels: Readonly<Record<string, string>>): boolean {
  const has = (text: string): boolean => {
    const at = text.indexOf("=");
    const key = at < 0 ? text : text.slice(0, at);
    return Object.hasOwn(labels, key) && (at < 0 || labels[key] === text.slice(at + 1));
  };
  return (filters.get("label") ?? []).every(has) && !(filters.get("label!") ?? []).some(has);
}
