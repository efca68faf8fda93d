/**
 * Makes log entries. Pure. The generated type wants a Buffer: a view over the same bytes, never a copy.
 */
import { EntryKind } from "../../proto/gen/skein/v1/raft.js";
import type { Entry } from "../core/types.js";

export { EntryKind };

export function makeEntry(
  at: { readonly term: number; readonly index: number },
  data: Uint8Array,
  kind: EntryKind = EntryKind.NORMAL,
): Entry {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { term: at.term, index: at.index, kind, data: bytes };
}
