/**
 * The committed state: one table per kind of object, and the reads on it.
 * Pure.
 */
import { haveSameKeys, indexKeys, lookupKey } from "./index-keys.js";
import { ObjectTable } from "./object-table.js";
import type { Lookup, ReadTx, TableName, Tables } from "./types.js";

type TableSet = { readonly [K in TableName]: ObjectTable<Tables[K]> };

function table<K extends TableName>(name: K): ObjectTable<Tables[K]> {
  return new ObjectTable<Tables[K]>({
    keysOf: (object) => indexKeys(name, object),
    haveSameKeys: (before, after) => haveSameKeys(name, before, after),
  });
}

export class StoreState implements ReadTx {
  readonly #tables: TableSet = {
    cluster: table("cluster"),
    node: table("node"),
    service: table("service"),
    task: table("task"),
    network: table("network"),
    secret: table("secret"),
    config: table("config"),
    volume: table("volume"),
    stack: table("stack"),
    stackRevision: table("stackRevision"),
    lease: table("lease"),
  };

  table<K extends TableName>(name: K): ObjectTable<Tables[K]> {
    return this.#tables[name];
  }

  get<K extends TableName>(name: K, id: string): Tables[K] | undefined {
    return this.#tables[name].get(id);
  }

  list<K extends TableName>(name: K, lookup?: Lookup): readonly Tables[K][] {
    if (lookup === undefined) return this.#tables[name].values();
    if (lookup.by === "idPrefix") return this.#tables[name].withPrefix(lookup.prefix);
    return this.bucket(name, lookupKey(lookup) ?? "");
  }

  /** Objects under a secondary key of index-keys.ts, in order of id. */
  bucket<K extends TableName>(name: K, key: string): readonly Tables[K][] {
    return this.#tables[name].bucket(key);
  }
}
