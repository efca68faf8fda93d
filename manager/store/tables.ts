/**
 * The list of tables, and how an object travels as a StoreObject.
 * Pure. Invariant: a row here for every member of `Tables`, or this file does not compile.
 */
import type { StoreObject } from "../../proto/gen/skein/v1/objects.js";
import type { TableName, Tables } from "./types.js";

const ALL: Record<TableName, true> = {
  cluster: true,
  node: true,
  service: true,
  task: true,
  network: true,
  secret: true,
  config: true,
  volume: true,
  stack: true,
  stackRevision: true,
  lease: true,
};

/** Every table, in a fixed order. */
export const TABLE_NAMES = Object.keys(ALL) as readonly TableName[]; // the keys of a Record<TableName, …>

export function isTableName(text: string): text is TableName {
  return Object.hasOwn(ALL, text);
}

/** An object with the name of its table: what a put carries. */
export type TableRow = {
  [K in TableName]: { readonly $case: K; readonly value: Tables[K] };
}[TableName];

export function toStoreObject<K extends TableName>(table: K, value: Tables[K]): StoreObject {
  return { object: { $case: table, value } as TableRow }; // K and its own Tables[K] always form a row
}

/** Key of an object in the materialised state. */
export function storeKey(table: TableName, id: string): string {
  return `${table}/${id}`;
}

/** The index of the object's last change; 0 for one never stored. */
export function versionOf(object: { readonly meta: Tables[TableName]["meta"] } | undefined): number {
  return object?.meta?.version?.index ?? 0;
}
