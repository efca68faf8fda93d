/**
 * A transaction being written: the committed state under an overlay of changes.
 * Pure. Invariant: each changed object is proposed with the version it was read at,
 * so a commit loses nobody's write.
 */
import {
  AbortedError,
  AlreadyExistsError,
  FailedPreconditionError,
  NotFoundError,
} from "../../base/errors/errors.js";
import type { Precondition } from "../../proto/gen/skein/v1/objects.js";
import { type EncodedAction, type EncodedObject, encodeObject } from "./encode-transaction.js";
import { indexKeys, lookupKey, nameKey, nameOf } from "./index-keys.js";
import { hasUniqueName, nameTakenMessage } from "./integrity.js";
import { lowerBound } from "./sorted-bucket.js";
import type { StoreState } from "./store-state.js";
import { storeKey, toStoreObject, versionOf } from "./tables.js";
import type { Lookup, TableName, Tables, WriteTx } from "./types.js";

interface Written {
  readonly table: TableName;
  readonly id: string;
  /** 0: the object must not exist. */
  readonly versionIndex: number;
  /** undefined: removed. */
  readonly after: Tables[TableName] | undefined;
  /** Of `after`, as it is proposed; made when first asked for. */
  encoded: EncodedObject | undefined;
}

/** What a transaction asks of the log. */
export interface Proposal {
  readonly preconditions: readonly Precondition[];
  readonly actions: readonly EncodedAction[];
}

/** A point to return to; see `mark`. */
export interface Mark {
  readonly journalLength: number;
}

export class WriteTransaction implements WriteTx {
  readonly #state: StoreState;
  readonly #nowMs: number;
  readonly #written = new Map<string, Written>();
  readonly #tables = new Set<TableName>();
  /** Store keys of what was written under a name, whatever became of it since: where to look for a name. */
  readonly #named = new Map<string, string[]>();
  /** What each write replaced in `#written`, for `rollback`. */
  readonly #journal: { readonly key: string; readonly before: Written | undefined }[] = [];
  #open = true;
  /** The object looked up last, which is mostly the one written next, with its store key. */
  #last: { readonly table: TableName; readonly id: string; readonly key: string } | undefined;

  constructor(state: StoreState, options: { nowMs: number }) {
    this.#state = state;
    this.#nowMs = options.nowMs;
  }

  /** Number of changed objects. */
  get size(): number {
    return this.#written.size;
  }

  /** Store keys of all changed objects. */
  get keys(): Iterable<string> {
    return this.#written.keys();
  }

  get<K extends TableName>(table: K, id: string): Tables[K] | undefined {
    const written = this.#written.get(this.#keyOf(table, id));
    if (written !== undefined) return written.after as Tables[K] | undefined; // the key names the table
    return this.#state.get(table, id);
  }

  list<K extends TableName>(table: K, lookup?: Lookup): readonly Tables[K][] {
    const committed = this.#state.list(table, lookup);
    return this.#tables.has(table)
      ? this.#overlaid(table, committed, (object) => matches(table, object, lookup))
      : committed;
  }

  create<K extends TableName>(table: K, object: Tables[K]): void {
    this.#assertOpen();
    if (this.get(table, object.id) !== undefined) {
      throw new AlreadyExistsError(`${table} ${object.id} already exists`);
    }
    this.#assertNameFree(table, object);
    // not 0 when this transaction removed it
    const versionIndex = versionOf(this.#state.get(table, object.id));
    const meta = { version: { index: versionIndex }, createdAtMs: this.#nowMs, updatedAtMs: this.#nowMs };
    this.#write({ table, id: object.id, versionIndex, after: { ...object, meta }, encoded: undefined });
  }

  update<K extends TableName>(table: K, object: Tables[K]): void {
    this.#assertOpen();
    const current = this.get(table, object.id);
    if (current === undefined) throw new NotFoundError(`${table} ${object.id} not found`);
    if (current === object) return;
    const versionIndex = versionOf(current);
    if (versionOf(object) !== versionIndex) {
      throw new AbortedError(
        `update out of sequence: ${table} ${object.id} is at version ${versionIndex}, ` +
          `the change was made from ${versionOf(object)}`,
      );
    }
    if (nameOf(table, object) !== nameOf(table, current)) this.#assertNameFree(table, object);
    const meta = {
      version: { index: versionIndex },
      createdAtMs: current.meta?.createdAtMs ?? this.#nowMs,
      updatedAtMs: this.#nowMs,
    };
    this.#write({ table, id: object.id, versionIndex, after: { ...object, meta }, encoded: undefined });
  }

  remove(table: TableName, id: string): void {
    this.#assertOpen();
    const current = this.get(table, id);
    if (current === undefined) throw new NotFoundError(`${table} ${id} not found`);
    this.#write({ table, id, versionIndex: versionOf(current), after: undefined, encoded: undefined });
  }

  /** A point to which `rollback` returns. */
  mark(): Mark {
    return { journalLength: this.#journal.length };
  }

  rollback(mark: Mark): void {
    while (this.#journal.length > mark.journalLength) {
      const step = this.#journal.pop();
      if (step === undefined) return;
      if (step.before === undefined) this.#written.delete(step.key);
      else this.#written.set(step.key, step.before);
    }
  }

  /** Encoded size of the objects written since the mark, bytes. */
  encodedBytesSince(mark: Mark): number {
    let bytes = 0;
    for (let at = mark.journalLength; at < this.#journal.length; at++) {
      const written = this.#written.get(this.#journal[at]?.key ?? "");
      if (written !== undefined) bytes += encodedOf(written)?.bytes.length ?? 0;
    }
    return bytes;
  }

  /** Refuses further writes: what was read of it is about to be proposed. */
  seal(): void {
    this.#open = false;
  }

  /** What to propose, in the order of the first write of each object. */
  proposal(): Proposal {
    const preconditions: Precondition[] = [];
    const actions: EncodedAction[] = [];
    for (const written of this.#written.values()) {
      const { table, id, versionIndex, after } = written;
      if (after === undefined && versionIndex === 0) continue; // created and removed in here
      const key = { table, id };
      preconditions.push({ key, versionIndex });
      if (after === undefined) {
        actions.push({
          action: { action: { $case: "remove", value: key } },
          object: undefined,
          isExact: true,
        });
        continue;
      }
      const encoded = encodedOf(written);
      actions.push({
        action: { action: { $case: "put", value: toStoreObject(table, after) } },
        object: encoded?.bytes,
        isExact: encoded?.isExact === true,
      });
    }
    return { preconditions, actions };
  }

  #keyOf(table: TableName, id: string): string {
    const last = this.#last;
    if (last !== undefined && last.id === id && last.table === table) return last.key;
    const key = storeKey(table, id);
    this.#last = { table, id, key };
    return key;
  }

  #assertOpen(): void {
    if (!this.#open)
      throw new FailedPreconditionError(
        "the transaction is over: write inside the function given to the store",
      );
  }

  #write(written: Written): void {
    const key = this.#keyOf(written.table, written.id);
    this.#journal.push({ key, before: this.#written.get(key) });
    this.#written.set(key, written);
    this.#tables.add(written.table);
    if (written.after === undefined || !hasUniqueName(written.table)) return;
    const name = namePlace(written.table, nameOf(written.table, written.after));
    const named = this.#named.get(name);
    if (named === undefined) this.#named.set(name, [key]);
    else named.push(key);
  }

  #assertNameFree<K extends TableName>(table: K, object: Tables[K]): void {
    const name = nameOf(table, object);
    if (name === "" || !hasUniqueName(table)) return;
    const isTaken =
      this.#state
        .bucket(table, nameKey(name))
        .some((other) => other.id !== object.id && !this.#written.has(storeKey(table, other.id))) ||
      this.#named.get(namePlace(table, name))?.some((key) => {
        const after = this.#written.get(key)?.after;
        return (
          after !== undefined &&
          after.id !== object.id &&
          nameKey(nameOf(table, after as Tables[K])) === nameKey(name)
        ); // keys name their table
      });
    if (isTaken) throw new AlreadyExistsError(nameTakenMessage(table, name));
  }

  #overlaid<K extends TableName>(
    table: K,
    committed: readonly Tables[K][],
    found: (object: Tables[K]) => boolean,
  ): readonly Tables[K][] {
    const out = committed.filter((object) => !this.#written.has(storeKey(table, object.id)));
    for (const written of this.#written.values()) {
      if (written.table !== table || written.after === undefined) continue;
      const after = written.after as Tables[K]; // its table is `table`
      if (found(after)) out.splice(lowerBound(out, after.id), 0, after);
    }
    return out;
  }
}

function encodedOf(written: Written): EncodedObject | undefined {
  if (written.after === undefined) return undefined;
  written.encoded ??= encodeObject(written.table, written.after);
  return written.encoded;
}

/** Where the objects written under a name of a table are listed. */
function namePlace(table: TableName, name: string): string {
  return `${table} ${nameKey(name)}`;
}

function matches<K extends TableName>(table: K, object: Tables[K], lookup: Lookup | undefined): boolean {
  if (lookup === undefined) return true;
  if (lookup.by === "idPrefix") return object.id.startsWith(lookup.prefix);
  const key = lookup.by === "name" ? nameKey(lookup.name) : lookupKey(lookup);
  return key !== undefined && indexKeys(table, object).includes(key);
}
