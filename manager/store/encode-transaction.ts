/**
 * A transaction as bytes: the payload of a log entry, put together from objects that are encoded already.
 * Pure. Invariant: byte for byte what `Transaction.encode` gives; a test compares.
 */
import {
  ObjectKey,
  type Precondition,
  type StoreAction,
  StoreObject,
  type Transaction,
} from "../../proto/gen/skein/v1/objects.js";
import { FlatWriter } from "./flat-writer.js";
import { toStoreObject } from "./tables.js";
import type { TableName, Tables } from "./types.js";

/** An action with its object's bytes; undefined for a removal. */
export interface EncodedAction {
  readonly action: StoreAction;
  readonly object: Uint8Array | undefined;
  /** False when decoding `object` gives another object than the one in `action`. */
  readonly isExact: boolean;
}

export interface EncodedObject {
  readonly bytes: Uint8Array;
  readonly isExact: boolean;
}

/** Tags (field number and wire type) as in objects.proto. */
const TAG = { proposalId: 10, precondition: 18, action: 26, proposedAtMs: 33 } as const;
const PRECONDITION_TAG = { key: 10, versionIndex: 16 } as const;
const ACTION_TAG = { put: 10, remove: 18 } as const;

/** Scratch space; nothing of it outlives a call. */
const flat = new FlatWriter();

/**
 * @returns an object as it is proposed and as it is stored.
 * @throws {InvalidArgumentError} when a number in it does not fit its field.
 */
export function encodeObject<K extends TableName>(table: K, object: Tables[K]): EncodedObject {
  const bytes = flat.encode((writer) => StoreObject.encode(toStoreObject(table, object), writer));
  return { bytes, isExact: flat.isExact };
}

export function encodeTransaction(
  head: Pick<Transaction, "proposalId" | "proposedAtMs">,
  parts: { readonly preconditions: readonly Precondition[]; readonly actions: readonly EncodedAction[] },
): Uint8Array {
  return flat.encode((writer) => {
    if (head.proposalId !== "") writer.uint32(TAG.proposalId).string(head.proposalId);
    for (const { key, versionIndex } of parts.preconditions) {
      writer.uint32(TAG.precondition).fork();
      if (key !== undefined) ObjectKey.encode(key, writer.uint32(PRECONDITION_TAG.key).fork()).ldelim();
      if (versionIndex !== 0) writer.uint32(PRECONDITION_TAG.versionIndex).uint64(versionIndex);
      writer.ldelim();
    }
    for (const { action, object } of parts.actions) {
      writer.uint32(TAG.action).fork();
      if (object !== undefined) writer.uint32(ACTION_TAG.put).bytes(object);
      else if (action.action?.$case === "remove") {
        ObjectKey.encode(action.action.value, writer.uint32(ACTION_TAG.remove).fork()).ldelim();
      }
      writer.ldelim();
    }
    if (head.proposedAtMs !== 0) writer.uint32(TAG.proposedAtMs).double(head.proposedAtMs);
  });
}
