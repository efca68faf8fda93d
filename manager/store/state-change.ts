/**
 * A change of the materialised state. Its bytes are made when somebody asks for them: an object that changes
 * five times before the state is written is encoded once.
 * Pure. Invariant: the bytes are those of the object in the version the change gave it.
 */
import { encodeObject } from "./encode-transaction.js";
import { storeKey, type TableRow } from "./tables.js";
import type { StoreChange } from "./types.js";

/** Has the shape of raft/host's KeyValueChange. */
export interface StateChange {
  readonly key: string;
  /** undefined deletes the key. */
  readonly value: Uint8Array | undefined;
  /** About how long `value` is. */
  readonly bytesAbout: number;
}

/** @param bytesAbout of the object, encoded; not counted when it is removed. */
export function toStateChange(change: StoreChange, bytesAbout: number): StateChange {
  return new ObjectChange(change, bytesAbout);
}

class ObjectChange implements StateChange {
  readonly key: string;
  readonly bytesAbout: number;
  readonly #row: TableRow | undefined;
  #value: Uint8Array | undefined;

  constructor(change: StoreChange, bytesAbout: number) {
    this.key = storeKey(change.table, change.id);
    // `after` is of the change's own table
    this.#row = change.after && ({ $case: change.table, value: change.after } as TableRow);
    this.bytesAbout = this.#row === undefined ? 0 : bytesAbout;
  }

  get value(): Uint8Array | undefined {
    if (this.#row === undefined) return undefined;
    this.#value ??= encodeObject(this.#row.$case, this.#row.value).bytes;
    return this.#value;
  }
}
