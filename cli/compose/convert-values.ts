/**
 * Small steps that all conversions of a project share. Pure.
 */
import type { Json } from "../service/flag-values.js";
import { parseBytes, parseDuration } from "../units.js";
import type { Environment, Size } from "./model.js";

export const optional = <T, U>(value: T | undefined, make: (value: T) => U): U | undefined =>
  value === undefined ? undefined : make(value);

/** An empty list or object says nothing. */
export const nonEmpty = <T extends object>(value: T | undefined): T | undefined =>
  value === undefined || (Array.isArray(value) ? value : Object.keys(value)).length === 0 ? undefined : value;

/** false says nothing, as in Go's JSON. */
export const ifTrue = (value: boolean | undefined): true | undefined => (value === true ? true : undefined);

/** @throws {InvalidArgumentError} */
export const durationNs = (text: string | undefined): number | undefined =>
  optional(text, (each) => parseDuration(each, "duration"));

/** Microseconds: a number is one already. @throws {InvalidArgumentError} */
export const durationUs = (value: number | string | undefined): number | undefined =>
  optional(value, (each) =>
    typeof each === "number" || /^-?\d+$/.test(each)
      ? Number(each)
      : Math.round(parseDuration(each, "duration") / 1000),
  );

/** @throws {InvalidArgumentError} */
export const bytesOf = (size: Size | undefined, what: string): number | undefined =>
  optional(size, (each) => parseBytes(String(each), what));

/** "NAME=VALUE", or "NAME" alone: the variable is taken away. Sorted. */
export function environmentList(variables: Environment | undefined): string[] | undefined {
  const lines = Object.entries(variables ?? {}).map(([name, value]) =>
    value === null ? name : `${name}=${value}`,
  );
  return nonEmpty(lines.sort());
}

/** "NAME:ADDRESS" as a line of /etc/hosts. */
export function hostLine(entry: string): string {
  const match = /^([^:= ]+)[:=](.*)$/.exec(entry);
  return match === null ? entry : `${(match[2] ?? "").replace(/^\[(.*)\]$/, "$1")} ${match[1] ?? ""}`;
}

/** In the order of text, the same on every machine. */
export const byText =
  (key: string) =>
  (a: Json, b: Json): number => {
    const [left, right] = [String(a[key]), String(b[key])];
    return left < right ? -1 : left > right ? 1 : 0;
  };
