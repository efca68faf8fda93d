/**
 * The messages between peers: which fields count for which kind, how to make one, how to show one.
 * Pure. Source: Raft paper figure 2 and section 7; thesis 3.10 (transfer), 6.4 (reads), 9.6 (pre-vote).
 *
 *   APPEND               index, logTerm: the entry before the first; entries; commit
 *   APPEND_RESPONSE      index: acknowledged, or with reject the refused `index`; rejectHint, logTerm:
 *                        where the follower's log may still agree
 *   HEARTBEAT            commit, never beyond what the follower acknowledged; context: the read round or 0;
 *                        lease: the leader's time when it relies on a lease, or 0
 *   HEARTBEAT_RESPONSE   context, echoed; lease, echoed as a promise (lease.ts)
 *   PRE_VOTE             term: the one the sender would campaign in; index, logTerm: its last entry
 *   PRE_VOTE_RESPONSE    term: the asked one when granted, else the voter's own; reject
 *   VOTE, VOTE_RESPONSE  the same for real; force: on behalf of a transfer
 *   TIMEOUT_NOW          nothing: campaign at once
 *   READ_INDEX           context: the asker's
 *   READ_INDEX_RESPONSE  context, index
 *   SNAPSHOT             snapshot; the content travels by other means and has arrived when this is stepped
 */
import { MessageKind } from "../../proto/gen/skein/v1/raft.js";
import type { RaftId, RaftMessage } from "./types.js";

export { MessageKind };

export type MessageFields = Partial<Omit<RaftMessage, "kind" | "from" | "to" | "term">>;

export function makeMessage(
  kind: MessageKind,
  address: { readonly from: RaftId; readonly to: RaftId; readonly term: number },
  fields: MessageFields = {},
): RaftMessage {
  return {
    kind,
    from: address.from,
    to: address.to,
    term: address.term,
    logTerm: fields.logTerm ?? 0,
    index: fields.index ?? 0,
    entries: fields.entries ?? [],
    commit: fields.commit ?? 0,
    reject: fields.reject ?? false,
    rejectHint: fields.rejectHint ?? 0,
    context: fields.context ?? 0,
    snapshot: fields.snapshot,
    force: fields.force ?? false,
    lease: fields.lease ?? 0,
  };
}

/** Only the leader of the message's term sends it. */
export function isFromLeader(kind: MessageKind): boolean {
  return kind === MessageKind.APPEND || kind === MessageKind.HEARTBEAT || kind === MessageKind.SNAPSHOT;
}

export function isVoteRequest(kind: MessageKind): boolean {
  return kind === MessageKind.VOTE || kind === MessageKind.PRE_VOTE;
}

/**
 * May leave before the sync of the batch it is part of (thesis 10.2.1):
 * it promises nothing about our own disk.
 */
export function maySendBeforeSync(kind: MessageKind): boolean {
  return kind === MessageKind.APPEND || kind === MessageKind.HEARTBEAT;
}

/** One line for traces and transcripts. */
export function describeMessage(message: RaftMessage): string {
  const parts = [`${message.from}->${message.to}`, message.kind.slice("MESSAGE_KIND_".length)];
  parts.push(`term=${message.term}`);
  if (message.index !== 0 || message.logTerm !== 0) parts.push(`log=${message.index}/${message.logTerm}`);
  const last = message.entries.at(-1);
  if (last !== undefined) parts.push(`entries=${message.entries[0]?.index}..${last.index}`);
  if (message.commit !== 0) parts.push(`commit=${message.commit}`);
  if (message.reject) parts.push(`reject hint=${message.rejectHint}`);
  if (message.context !== 0) parts.push(`context=${message.context}`);
  if (message.snapshot !== undefined)
    parts.push(`snapshot=${message.snapshot.index}/${message.snapshot.term}`);
  if (message.force) parts.push("force");
  if (message.lease !== 0) parts.push(`lease=${message.lease}`);
  return parts.join(" ");
}
