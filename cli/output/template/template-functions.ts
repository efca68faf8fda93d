/**
 * The functions of a template: Go's own, and those that docker adds. Pure.
 * Source: text/template, section "Functions"; Docker's "Format command and log output".
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";

export type TemplateFunction = (...values: unknown[]) => unknown;

/** Longest text a padding may make. */
const PAD_MAX = 1_000;

/** A value as Go prints it with %v. */
export function plain(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "function") return "";
  if (Array.isArray(value)) return `[${value.map((item) => nested(item)).join(" ")}]`;
  if (typeof value !== "object") return String(value);
  const pairs = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${key}:${nested(inner)}`);
  return `map[${pairs.join(" ")}]`;
}

const nested = (value: unknown): string => (value === undefined || value === null ? "<nil>" : plain(value));

/** What `if` takes for false: nothing, false, 0, "", an empty list or map. */
export function isTruthy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** A member of a map, in Go's spelling or the API's: .ID finds "Id". */
export function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (Object.hasOwn(value, name)) return (value as Record<string, unknown>)[name]; // an object
  const wanted = name.toLowerCase();
  return Object.entries(value).find(([key]) => key.toLowerCase() === wanted)?.[1];
}

/** It may be there, and empty. */
export function hasMember(value: unknown, name: string): boolean {
  if (typeof value !== "object" || value === null) return false;
  const wanted = name.toLowerCase();
  return Object.keys(value).some((key) => key.toLowerCase() === wanted);
}

function elementOf(value: unknown, key: unknown): unknown {
  if (Array.isArray(value) || typeof value === "string") {
    const at = Number(key);
    if (!Number.isInteger(at) || at < 0 || at >= value.length)
      throw new InvalidArgumentError(
        `template: index ${plain(key)} is out of range: there are ${value.length}`,
      );
    return typeof value === "string" ? value.codePointAt(at) : (value[at] as unknown);
  }
  if (typeof value !== "object" || value === null) return undefined;
  const name = plain(key);
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined; // an object
}

function compared(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [left, right] = [plain(a), plain(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

const same = (a: unknown, b: unknown): boolean =>
  a === b || (isScalar(a) && isScalar(b) && plain(a) === plain(b));
const isScalar = (value: unknown): boolean =>
  value === undefined || value === null || ["string", "number", "boolean"].includes(typeof value);

function widened(text: string, flags: string, width: string): string {
  const columns = Math.min(Number(width || 0), PAD_MAX);
  if (flags.includes("-")) return text.padEnd(columns);
  return text.padStart(columns, flags.includes("0") ? "0" : " ");
}

function verb(letter: string, value: unknown, precision: string | undefined): string {
  const digits = precision === undefined || precision === "" ? undefined : Math.min(Number(precision), 100);
  switch (letter) {
    case "d":
      return String(Math.trunc(Number(value)));
    case "f":
      return Number(value).toFixed(digits ?? 6);
    case "x":
      return typeof value === "number" ? value.toString(16) : Buffer.from(plain(value)).toString("hex");
    case "X":
      return typeof value === "number"
        ? value.toString(16).toUpperCase()
        : Buffer.from(plain(value)).toString("hex").toUpperCase();
    case "q":
      return JSON.stringify(plain(value));
    case "c":
      return String.fromCodePoint(Number(value));
    case "s":
      return digits === undefined ? plain(value) : [...plain(value)].slice(0, digits).join("");
    default:
      return plain(value);
  }
}

function printf(format: unknown, ...values: unknown[]): string {
  let next = 0;
  return plain(format).replaceAll(
    /%([-+# 0]*)(\d*)(?:\.(\d*))?([a-zA-Z%])/g,
    (all, flags: string, width: string, precision: string | undefined, letter: string) => {
      if (letter === "%") return "%";
      if (!"vsdqtxXfgcT".includes(letter)) throw new InvalidArgumentError(`template: printf knows no ${all}`);
      return widened(verb(letter, values[next++], precision), flags, width);
    },
  );
}

const spread = (values: readonly unknown[], between: string): string => values.map(plain).join(between);

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}

const titled = (text: string): string =>
  text.replaceAll(
    /(^|[\s_-])(\p{Ll})/gu,
    (_, before: string, letter: string) => before + letter.toUpperCase(),
  );

function truncated(text: unknown, length: unknown): string {
  const letters = [...plain(text)];
  return letters.slice(0, Math.max(0, Number(length))).join("");
}

function padded(text: unknown, before: unknown, after: unknown): string {
  const spaces = (count: unknown): string => " ".repeat(Math.max(0, Math.min(Number(count), PAD_MAX)));
  return `${spaces(before)}${plain(text)}${spaces(after)}`;
}

function lengthOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  return typeof value === "object" && value !== null ? Object.keys(value).length : 0;
}

const jsonOf = (value: unknown): string => JSON.stringify(value) ?? "null";

export const TEMPLATE_FUNCTIONS: ReadonlyMap<string, TemplateFunction> = new Map<string, TemplateFunction>([
  ["json", jsonOf],
  ["jsonIndent", (value, prefix, indent) => JSON.stringify(value, undefined, plain(indent)) ?? plain(prefix)],
  ["split", (text, by) => plain(text).split(plain(by))],
  ["join", (items, by) => list(items).map(plain).join(plain(by))],
  ["title", (text) => titled(plain(text))],
  ["lower", (text) => plain(text).toLowerCase()],
  ["upper", (text) => plain(text).toUpperCase()],
  ["pad", padded],
  ["truncate", truncated],
  ["len", lengthOf],
  ["index", (value, ...keys) => keys.reduce(elementOf, value)],
  ["slice", (value, from = 0, to?: unknown) => sliced(value, Number(from), to)],
  ["print", (...values) => spread(values, "")],
  ["println", (...values) => `${spread(values, " ")}\n`],
  ["printf", printf],
  ["html", (text) => plain(text).replaceAll(/[&<>"']/g, (sign) => `&#${sign.codePointAt(0)};`)],
  ["js", (text) => JSON.stringify(plain(text)).slice(1, -1)],
  ["urlquery", (text) => encodeURIComponent(plain(text)).replaceAll("%20", "+")],
  ["not", (value) => !isTruthy(value)],
  [
    "and",
    (...values) =>
      values[
        firstOr(
          values.findIndex((value) => !isTruthy(value)),
          values,
        )
      ],
  ],
  ["or", (...values) => values[firstOr(values.findIndex(isTruthy), values)]],
  ["eq", (first, ...others) => others.some((other) => same(first, other))],
  ["ne", (a, b) => !same(a, b)],
  ["lt", (a, b) => compared(a, b) < 0],
  ["le", (a, b) => compared(a, b) <= 0],
  ["gt", (a, b) => compared(a, b) > 0],
  ["ge", (a, b) => compared(a, b) >= 0],
]);

/** Of what was found, or of the last. */
const firstOr = (found: number, values: readonly unknown[]): number =>
  found < 0 ? values.length - 1 : found;

function sliced(value: unknown, from: number, to: unknown): unknown {
  if (typeof value !== "string" && !Array.isArray(value)) return value;
  return value.slice(from, to === undefined ? undefined : Number(to));
}

/** What these do to a header: nothing, as with docker. */
export const HEADER_FUNCTIONS: ReadonlySet<string> = new Set([
  "json",
  "split",
  "join",
  "title",
  "lower",
  "upper",
  "truncate",
]);
