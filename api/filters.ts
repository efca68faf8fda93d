/**
 * The `filters` query: {"key":["value"]} or {"key":{"value":true}}. Pure.
 * @throws {InvalidArgumentError} not JSON, or a key the endpoint does not know, named as Docker does.
 */
import { InvalidArgumentError, NotImplementedError } from "../base/errors/errors.js";
import type { ListFilters } from "../proto/gen/skein/v1/control.js";

export type Filters = ReadonlyMap<string, readonly string[]>;

function valuesOf(key: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.map(String);
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .filter(([, wanted]) => wanted === true)
      .map(([name]) => name);
  }
  throw new InvalidArgumentError(`invalid filters: ${key} must be a list or a map`);
}

/** @param known "any": where Docker passes over keys it does not know. */
export function parseFilters(text: string | null, known: readonly string[] | "any"): Filters {
  if (text === null || text === "") return new Map();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError("invalid filters: they must be a JSON object", { cause: error });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new InvalidArgumentError("invalid filters: they must be a JSON object");
  }
  const filters = new Map<string, string[]>();
  for (const [key, value] of Object.entries(parsed)) {
    if (known !== "any" && !known.includes(key)) throw new InvalidArgumentError(`invalid filter '${key}'`);
    filters.set(key, valuesOf(key, value));
  }
  return filters;
}

/** @throws {NotImplementedError} naming a filter that is given and cannot be honoured yet. */
export function refuseFilters(filters: Filters, unsupported: readonly string[]): void {
  const key = unsupported.find((each) => filters.has(each));
  if (key !== undefined) throw new NotImplementedError(`filter '${key}' is not supported by Skein yet`);
}

/** "a=b" and "a" as the two label fields. */
export function labelFilters(values: readonly string[] = []): {
  labels: Record<string, string>;
  keys: string[];
} {
  const labels: Record<string, string> = {};
  const keys: string[] = [];
  for (const value of values) {
    const at = value.indexOf("=");
    if (at < 0) keys.push(value);
    else labels[value.slice(0, at)] = value.slice(at + 1);
  }
  return { labels, keys };
}

/** The filters every listing shares: id, name, label. */
export function listFilters(filters: Filters): ListFilters {
  const { labels, keys } = labelFilters(filters.get("label"));
  return {
    ids: filters.get("id") ?? [],
    names: filters.get("name") ?? [],
    exactNames: filters.get("names") ?? [],
    labels,
    labelKeys: keys,
  };
}
