/**
 * The filters that every listing shares.
 * Pure. All kinds of filter must hold; within ids and names any value may; every label must be there.
 */
import type { ListFilters } from "../../proto/gen/skein/v1/control.js";

export interface Filterable {
  readonly id: string;
  readonly names: readonly string[];
  readonly labels: { readonly [key: string]: string };
}

export function matchesFilters(filters: ListFilters | undefined, object: Filterable): boolean {
  if (filters === undefined) return true;
  const names = object.names.map((name) => name.toLowerCase());
  return (
    anyOf(filters.ids, (prefix) => object.id.startsWith(prefix)) &&
    anyOf(filters.names, (prefix) => names.some((name) => name.startsWith(prefix.toLowerCase()))) &&
    anyOf(filters.exactNames, (wanted) => names.includes(wanted.toLowerCase())) &&
    hasLabels(object.labels, { labels: filters.labels, keys: filters.labelKeys })
  );
}

/** @param wanted `keys` need any value; a label with a value needs that value. */
export function hasLabels(
  own: { readonly [key: string]: string },
  wanted: { readonly labels: { readonly [key: string]: string }; readonly keys: readonly string[] },
): boolean {
  return (
    wanted.keys.every((key) => Object.hasOwn(own, key)) &&
    Object.entries(wanted.labels).every(
      ([key, value]) =>
        Object.hasOwn(own, key) && (own[key] === value || (value === "" && wanted.keys.includes(key))),
    )
  );
}

function anyOf(values: readonly string[], holds: (value: string) => boolean): boolean {
  return values.length === 0 || values.some(holds);
}
