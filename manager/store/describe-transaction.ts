/**
 * Log entries and stored objects in words, for people who look for a fault.
 * Pure. Invariant: ids, names and versions only; no secret, key, token or other content is ever shown.
 */
import { messageOf } from "../../base/errors/errors.js";
import { StoreObject, Transaction } from "../../proto/gen/skein/v1/objects.js";
import { isTableName, storeKey, type TableRow } from "./tables.js";

/** "update service web abc123". */
export interface DescribedAction {
  readonly action: "put" | "remove";
  readonly table: string;
  readonly id: string;
  readonly name?: string;
}

export interface DescribedTransaction {
  readonly proposedAtMs: number;
  readonly preconditions: number;
  readonly actions: readonly DescribedAction[];
}

export interface DescribedObject {
  readonly table: string;
  readonly id: string;
  readonly name?: string;
  /** Index of the entry that wrote it. */
  readonly version: number;
}

/** @returns an error's words when the bytes are no transaction of this version. */
export function describeTransaction(
  data: Uint8Array,
): DescribedTransaction | { readonly unreadable: string } {
  try {
    const { proposedAtMs, preconditions, actions } = Transaction.decode(data);
    return {
      proposedAtMs,
      preconditions: preconditions.length,
      actions: actions.flatMap(({ action }): DescribedAction[] => {
        if (action === undefined) return [];
        if (action.$case === "remove")
          return [{ action: "remove", table: action.value.table, id: action.value.id }];
        const row = action.value.object;
        return row === undefined
          ? []
          : [{ action: "put", table: row.$case, id: row.value.id, ...nameOf(row) }];
      }),
    };
  } catch (error) {
    return { unreadable: messageOf(error) };
  }
}

/** One pair of the materialised state. undefined: not an object of this version. */
export function describeObject(pair: { key: string; value: Uint8Array }): DescribedObject | undefined {
  const row = StoreObject.decode(pair.value).object;
  if (row === undefined || !isTableName(row.$case) || storeKey(row.$case, row.value.id) !== pair.key)
    return undefined;
  const version = row.value.meta?.version?.index ?? 0;
  return { table: row.$case, id: row.value.id, ...nameOf(row), version };
}

function nameOf(row: TableRow): { name?: string } {
  const { value } = row;
  const annotations =
    "annotations" in value ? value.annotations : "spec" in value ? specAnnotations(value.spec) : undefined;
  const name = row.$case === "node" ? row.value.description?.hostname : annotations?.name;
  return name === undefined || name === "" ? {} : { name };
}

function specAnnotations(spec: unknown): { readonly name?: string } | undefined {
  if (typeof spec !== "object" || spec === null || !("annotations" in spec)) return undefined;
  return spec.annotations as { readonly name?: string } | undefined; // as every spec's annotations are
}
