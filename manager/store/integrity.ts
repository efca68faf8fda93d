/**
 * What must hold across objects after a transaction, whoever wrote it: unique names,
 * references that exist, nothing removed while a service needs it, published ports taken once. Checked while
 * applying, so that two proposals in flight cannot both pass the control API's own checks and then contradict
 * each other.
 * Pure. Invariant: reads the committed state and the transaction only, so every replica decides alike;
 * what is allowed here from one version on must be refused by the control API of those before.
 */
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import { chosenPorts, conflictingPortKeys, indexKeys, nameKey, nameOf, portKey } from "./index-keys.js";
import type { StoreState } from "./store-state.js";
import { storeKey } from "./tables.js";
import type { TableName, Tables } from "./types.js";

/** What one object becomes by a transaction; `after` undefined: it is removed. */
export type FinalObject = {
  [K in TableName]: { readonly table: K; readonly id: string; readonly after: Tables[K] | undefined };
}[TableName];

/** What a transaction makes of each object it writes, in the order of its actions; found by store key. */
export class FinalObjects {
  readonly #list: readonly FinalObject[];
  #byKey: ReadonlyMap<string, FinalObject> | undefined;

  /** @param written in order; the last one of an object counts. */
  constructor(written: readonly FinalObject[]) {
    const isDistinct = written.length < 2 || new Set(written.map(({ id }) => id)).size === written.length;
    if (!isDistinct) this.#byKey = byStoreKey(written);
    this.#list = this.#byKey === undefined ? written : [...this.#byKey.values()];
  }

  get size(): number {
    return this.#list.length;
  }

  values(): readonly FinalObject[] {
    return this.#list;
  }

  get(key: string): FinalObject | undefined {
    this.#byKey ??= byStoreKey(this.#list);
    return this.#byKey.get(key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }
}

function byStoreKey(objects: readonly FinalObject[]): ReadonlyMap<string, FinalObject> {
  const byKey = new Map<string, FinalObject>();
  for (const object of objects) byKey.set(storeKey(object.table, object.id), object);
  return byKey;
}

/** What the rules look at: the committed state, and what the transaction makes of it. */
interface Review {
  readonly state: StoreState;
  readonly finals: FinalObjects;
  /** The transaction's objects by table and secondary key; made when first asked for. */
  byKey: ReadonlyMap<string, readonly FinalObject[]> | undefined;
}

/** Where `Review.byKey` holds the objects under a secondary key of their table. */
function placeOf(table: TableName, key: string): string {
  return `${table} ${key}`;
}

function finalsByKey(finals: FinalObjects): ReadonlyMap<string, readonly FinalObject[]> {
  const byKey = new Map<string, FinalObject[]>();
  for (const final of finals.values()) {
    if (final.after === undefined) continue;
    for (const key of indexKeys(final.table, final.after)) {
      const place = placeOf(final.table, key);
      const held = byKey.get(place);
      if (held === undefined) byKey.set(place, [final]);
      else held.push(final);
    }
  }
  return byKey;
}

/** Why a transaction is void. */
export interface Violation {
  readonly kind: "changed" | "name" | "reference" | "port";
  readonly message: string;
}

const UNIQUE_NAMES: ReadonlySet<TableName> = new Set(["service", "network", "secret", "config", "stack"]);

export function hasUniqueName(table: TableName): boolean {
  return UNIQUE_NAMES.has(table);
}

export function nameTakenMessage(table: TableName, name: string): string {
  return `name conflicts with an existing object: ${table} ${name} already exists`;
}

/** @returns the first broken rule, in the order of the transaction's actions. */
export function findViolation(state: StoreState, finals: FinalObjects): Violation | undefined {
  const review: Review = { state, finals, byKey: undefined };
  for (const final of finals.values()) {
    const violation = final.after === undefined ? brokenByRemoval(review, final) : brokenByPut(review, final);
    if (violation !== undefined) return violation;
  }
  return undefined;
}

/** Another object that will stand under this key once the transaction is applied. */
function otherHolder<K extends TableName>(
  review: Review,
  at: { readonly table: K; readonly key: string; readonly id: string },
): { readonly id: string } | undefined {
  const { state, finals } = review;
  const held = state.bucket(at.table, at.key);
  const stays = held.find((object) => object.id !== at.id && !finals.has(storeKey(at.table, object.id)));
  if (stays !== undefined) return stays;
  if (finals.size === 1 && finals.has(storeKey(at.table, at.id))) return undefined;
  review.byKey ??= finalsByKey(finals);
  return review.byKey.get(placeOf(at.table, at.key))?.find((final) => final.id !== at.id);
}

function brokenByPut(review: Review, final: FinalObject): Violation | undefined {
  const { state } = review;
  const { table, id, after } = final;
  if (after === undefined || !hasUniqueName(table)) return undefined;
  const before = state.get(table, id);
  const name = nameOf(table, after);
  const renamed = before === undefined || nameOf(table, before) !== name;
  if (name !== "" && renamed && otherHolder(review, { table, key: nameKey(name), id }) !== undefined) {
    return { kind: "name", message: nameTakenMessage(table, name) };
  }
  if (table === "service") return brokenByService(review, { before: state.get("service", id), after });
  return isGoing(after) && (before === undefined || !isGoing(before)) ? usedBy(review, final) : undefined;
}

/** It waits for its removal: nothing new may refer to it. */
function isGoing(object: object): boolean {
  return "pendingDelete" in object && object.pendingDelete === true;
}

function brokenByService(
  review: Review,
  change: { readonly before: Tables["service"] | undefined; readonly after: Tables["service"] },
): Violation | undefined {
  const { state, finals } = review;
  const { before, after } = change;
  if (before?.spec === after.spec) return undefined;
  // What the service had, or goes back to, is not questioned:
  // a rollback must not be voided for ever by a removed secret.
  const had = new Set(before === undefined ? [] : indexKeys("service", before));
  if (before?.previousSpec !== undefined) {
    for (const key of indexKeys("service", { ...before, spec: before.previousSpec })) had.add(key);
  }
  const task = after.spec?.task;
  const references: readonly (readonly ["network" | "secret" | "config", string])[] = [
    ...(task?.networks ?? [])
      .filter(({ target }) => !isNodeNetwork(target))
      .map(({ target }) => ["network", target] as const),
    ...(task?.container?.secrets ?? []).map((secret) => ["secret", secret.secretId] as const),
    ...(task?.container?.configs ?? []).map((config) => ["config", config.configId] as const),
  ];
  for (const [table, id] of references) {
    if (had.has(`${table}:${id}`)) continue;
    const final = finals.get(storeKey(table, id));
    const found = final === undefined ? state.get(table, id) : final.after;
    if (found === undefined || isGoing(found))
      return { kind: "reference", message: `${table} ${id} not found` };
  }
  for (const port of chosenPorts(after.spec)) {
    if (had.has(portKey(port))) continue;
    for (const key of conflictingPortKeys(port)) {
      const other = otherHolder(review, { table: "service", key, id: after.id });
      if (other !== undefined) {
        return {
          kind: "port",
          message: `port '${port.publishedPort}' is already in use by service ${other.id}`,
        };
      }
    }
  }
  return undefined;
}

function brokenByRemoval(review: Review, final: FinalObject): Violation | undefined {
  const { table } = final;
  return table === "network" || table === "secret" || table === "config" ? usedBy(review, final) : undefined;
}

function usedBy(review: Review, { table, id }: Pick<FinalObject, "table" | "id">): Violation | undefined {
  const user = otherHolder(review, { table: "service", key: `${table}:${id}`, id: "" });
  return user === undefined
    ? undefined
    : { kind: "reference", message: `${table} ${id} is in use by service ${user.id}` };
}
