/**
 * Makes log entries. Pure. The bytes are shared, not copied: the proposer must not change them afterwards.
 */
import { EntryKind } from "../../proto/gen/skein/v1/raft.js";
import type { Entry } from "../core/types.js";

export { EntryKind };

export function makeEntry(
  at: { readonly term: number; readonly index: number },
  data: Uint8Array,
  kind: EntryKind = EntryKind.NORMAL,
): Entry {
  return { term: at.term, index: at.index, kind, data };
}
