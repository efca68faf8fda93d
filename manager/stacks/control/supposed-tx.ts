/**
 * The store as it would be with objects laid over it: what a definition asks for is checked against that.
 * Pure. Invariant: nothing is written; the base is only read.
 */
import { indexKeys, lookupKey } from "../../store/index-keys.js";
import type { Lookup, ReadTx, TableName, Tables } from "../../store/types.js";

export class SupposedTx implements ReadTx {
  readonly #base: ReadTx;
  /** By table, then id; undefined: removed. */
  readonly #over = new Map<TableName, Map<string, Tables[TableName] | undefined>>();

  constructor(base: ReadTx) {
    this.#base = base;
  }

  put<K extends TableName>(table: K, object: Tables[K]): void {
    this.#tableOf(table).set(object.id, object);
  }

  remove(table: TableName, id: string): void {
    this.#tableOf(table).set(id, undefined);
  }

  get<K extends TableName>(table: K, id: string): Tables[K] | undefined {
    const over = this.#over.get(table);
    if (over?.has(id) === true) return over.get(id) as Tables[K] | undefined; // put under its own table
    return this.#base.get(table, id);
  }

  list<K extends TableName>(table: K, lookup?: Lookup): readonly Tables[K][] {
    const base = this.#base.list(table, lookup);
    const over = this.#over.get(table);
    if (over === undefined) return base;
    const supposed = [...over.values()] as (Tables[K] | undefined)[]; // put under its own table
    const fitting = supposed.filter(
      (object): object is Tables[K] => object !== undefined && fits(table, object, lookup),
    );
    return [...base.filter(({ id }) => !over.has(id)), ...fitting].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #tableOf(table: TableName): Map<string, Tables[TableName] | undefined> {
    const found = this.#over.get(table) ?? new Map<string, Tables[TableName] | undefined>();
    this.#over.set(table, found);
    return found;
  }
}

function fits<K extends TableName>(table: K, object: Tables[K], lookup: Lookup | undefined): boolean {
  if (lookup === undefined) return true;
  const key = lookupKey(lookup);
  if (key !== undefined) return indexKeys(table, object).includes(key);
  return lookup.by === "idPrefix" && object.id.startsWith(lookup.prefix);
}
