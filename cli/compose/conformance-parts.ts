/**
 * Building blocks of the conformance table. Pure (data).
 */
import type { Fate, Honoured, Table } from "./conformance.js";

export const to = (where: string): Honoured => ({ fate: "honoured", where });
/** Honoured, but not in a file with a version. */
export const modern = (where: string): Honoured => ({ fate: "honoured", where, ignoredWithVersion: true });
export const warned = (reason: string): Fate => ({ fate: "warned", reason });
export const refused = (reason: string): Fate => ({ fate: "refused", reason });

/** The same table, below a path. "" is the path itself. */
export function under(prefix: string, table: Table): Table {
  return Object.fromEntries(
    Object.entries(table).map(([key, fate]) => {
      if (key === "") return [prefix, fate];
      return [`${prefix}${key.startsWith("[]") ? "" : "."}${key}`, fate];
    }),
  );
}

/** Several keys with one fate. */
export function each(fate: Fate, ...keys: readonly string[]): Table {
  return Object.fromEntries(keys.map((key) => [key, fate]));
}
