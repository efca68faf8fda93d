/**
 * Hand-made Raft messages for tests that play a peer. Pure.
 */
import { type MessageFields, type MessageKind, makeMessage } from "../../raft/core/message.js";
import type { RaftId, RaftMessage } from "../../raft/core/types.js";
import { makeEntry } from "../../raft/log/make-entry.js";

/** A message to member 1 unless `to` says otherwise. */
export function message(
  kind: MessageKind,
  from: RaftId,
  term: number,
  fields: MessageFields & { to?: RaftId } = {},
): RaftMessage {
  return makeMessage(kind, { from, to: fields.to ?? 1, term }, fields);
}

/** Entries with these terms and one byte each, from `first` on. */
export function entries(first: number, terms: readonly number[]) {
  return terms.map((term, at) => makeEntry({ term, index: first + at }, new Uint8Array(1)));
}
