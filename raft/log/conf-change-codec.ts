/**
 * Bytes of a membership change inside a log entry. The one door from the core to the generated codec.
 * Pure.
 */
import { ConfChange } from "../../proto/gen/skein/v1/raft.js";

export function encodeConfChange(change: ConfChange): Uint8Array {
  return ConfChange.encode(change).finish();
}

/** @throws when the bytes are no ConfChange, which a committed entry never holds. */
export function decodeConfChange(data: Uint8Array): ConfChange {
  return ConfChange.decode(data);
}
