/**
 * Applies one committed transaction to the state: whole, or not at all.
 * Pure. Invariant: the outcome depends on the state, the transaction and its index alone;
 * versions are that index.
 */

import { isDeepStrictEqual } from "node:util";
import { DataLossError } from "../../base/errors/errors.js";
import type { Node, ObjectKey, Service, StoreObject, Transaction } from "../../proto/gen/skein/v1/objects.js";
import { type FinalObject, FinalObjects, findViolation, type Violation } from "./integrity.js";
import type { StoreState } from "./store-state.js";
import { isTableName, type TableRow, versionOf } from "./tables.js";
import type { StoreChange } from "./types.js";

export type ApplyOutcome =
  | { readonly kind: "applied"; readonly changes: readonly StoreChange[] }
  | { readonly kind: "void"; readonly violation: Violation };

/** @throws {DataLossError} when the entry names a table or an action this version does not know. */
export function applyTransaction(state: StoreState, transaction: Transaction, index: number): ApplyOutcome {
  const stale = failedPrecondition(state, transaction);
  if (stale !== undefined) return { kind: "void", violation: stale };
  const finals = finalObjects(transaction, index);
  const violation = findViolation(state, finals);
  if (violation !== undefined) return { kind: "void", violation };
  const changes: StoreChange[] = [];
  for (const final of finals.values()) {
    const change = write(state, final);
    if (change !== undefined) changes.push(change);
  }
  return { kind: "applied", changes };
}

function failedPrecondition(state: StoreState, transaction: Transaction): Violation | undefined {
  for (const { key, versionIndex } of transaction.preconditions) {
    const { table, id } = tableAndId(key);
    const found = versionOf(state.get(table, id));
    if (found !== versionIndex) {
      const rule = versionIndex === 0 ? "must not exist" : `must be at version ${versionIndex}`;
      return { kind: "changed", message: `${table} ${id} ${rule}, found version ${found}` };
    }
  }
  return undefined;
}

function tableAndId(key: ObjectKey | undefined): { table: FinalObject["table"]; id: string } {
  if (key === undefined || !isTableName(key.table)) {
    throw new DataLossError(`log entry names an unknown table: ${key?.table ?? "none"}`);
  }
  return { table: key.table, id: key.id };
}

function finalObjects(transaction: Transaction, index: number): FinalObjects {
  const written: FinalObject[] = [];
  for (const { action } of transaction.actions) {
    if (action === undefined) throw new DataLossError("log entry holds an action of an unknown kind");
    if (action.$case === "remove") {
      const { table, id } = tableAndId(action.value);
      written.push({ table, id, after: undefined });
    } else {
      written.push(toFinal(atVersion(action.value, index)));
    }
  }
  return new FinalObjects(written);
}

function toFinal(row: TableRow): FinalObject {
  // table and value come from one row
  return { table: row.$case, id: row.value.id, after: row.value } as FinalObject;
}

/**
 * The object with the entry's index as its version;
 * a service whose spec changed gets it as spec version, too.
 */
function atVersion(object: StoreObject, index: number): TableRow {
  const row = object.object;
  if (row === undefined) throw new DataLossError("log entry holds an object of an unknown table");
  const meta = {
    version: { index },
    createdAtMs: row.value.meta?.createdAtMs ?? 0,
    updatedAtMs: row.value.meta?.updatedAtMs ?? 0,
  };
  if (row.$case === "service")
    return { $case: "service", value: { ...row.value, meta, ...specVersion(row.value, index) } };
  // the spread keeps the row's own type
  return { $case: row.$case, value: { ...row.value, meta } } as TableRow;
}

function specVersion(service: Service, index: number): Partial<Service> {
  return (service.specVersion?.index ?? 0) === 0 ? { specVersion: { index } } : {};
}

function write(state: StoreState, final: FinalObject): StoreChange | undefined {
  const before = state.get(final.table, final.id);
  if (final.after === undefined) {
    if (before === undefined) return undefined;
    state.table(final.table).delete(final.id);
    // one table
    return { table: final.table, kind: "remove", id: final.id, before, after: undefined } as StoreChange;
  }
  const after =
    final.table === "node" ? withSpecVersion(final.after, state.get("node", final.id)) : final.after;
  put(state, { ...final, after } as FinalObject); // of the same table
  const kind = before === undefined ? "create" : "update";
  // before is of the same table
  return { table: final.table, kind, id: final.id, before, after } as StoreChange;
}

/** A node tells much of itself: who changes its specification is out of sequence by changes of that alone. */
function withSpecVersion(after: Node, before: Node | undefined): Node {
  const isSame = before !== undefined && isDeepStrictEqual(before.spec, after.spec);
  const index = isSame ? (before.specVersion?.index ?? versionOf(before)) : versionOf(after);
  return { ...after, specVersion: { index } };
}

function put<K extends FinalObject["table"]>(
  state: StoreState,
  final: {
    readonly table: K;
    readonly after: Parameters<ReturnType<typeof state.table<K>>["put"]>[0] | undefined;
  },
): void {
  if (final.after !== undefined) state.table(final.table).put(final.after);
}
