/**
 * Finds the object a user means: by id, else by name, else by a prefix of the id that fits one object only.
 * Pure. What waits for its removal cannot be found any more.
 */
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { ReadTx, TableName, Tables } from "../store/types.js";

/** @throws {NotFoundError} nothing fits; {InvalidArgumentError} several do, or the reference is empty. */
export function findObject<K extends TableName>(tx: ReadTx, table: K, reference: string): Tables[K] {
  if (reference === "") throw new InvalidArgumentError(`a ${table} must be given by id or name`);
  const byId = tx.get(table, reference);
  if (byId !== undefined && !isLeaving(byId)) return byId;
  const byName = tx.list(table, { by: "name", name: reference }).filter((object) => !isLeaving(object));
  const found =
    byName.length > 0
      ? byName
      : tx.list(table, { by: "idPrefix", prefix: reference }).filter((object) => !isLeaving(object));
  const [first, second] = found;
  if (first === undefined) throw new NotFoundError(`${table} ${reference} not found`);
  if (second !== undefined) {
    throw new InvalidArgumentError(`${table} ${reference} is ambiguous (${found.length} matches found)`);
  }
  return first;
}

/** True for what was removed by a user and only waits for its tasks to end. */
export function isLeaving(object: Tables[TableName]): boolean {
  return "pendingDelete" in object && object.pendingDelete;
}
