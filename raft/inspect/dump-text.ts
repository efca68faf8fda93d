/**
 * A dump in words: what `skein debug raft` prints. Pure.
 */
import type { Entry, RaftMember } from "../core/types.js";
import { decodeConfChange } from "../log/conf-change-codec.js";
import { EntryKind } from "../log/make-entry.js";
import type { RaftDump } from "./raft-dump.js";

/** What the owner of the state machine says of its own entries and objects. */
export interface DumpWords {
  /** "put service web abc". */
  entry(data: Uint8Array): string;
  /** A line each, in order. */
  state(pairs: readonly { readonly key: string; readonly value: Uint8Array }[]): readonly string[];
}

export interface DumpTextOptions {
  /** Newest entries shown. */
  readonly entriesMax: number;
  readonly words: DumpWords;
}

export function dumpText(dump: RaftDump, { entriesMax, words }: DumpTextOptions): string {
  const { identity, hardState, base, entries, segments, state, membership } = dump;
  const lastIndex = base.index + entries.length;
  const shown = entries.slice(Math.max(0, entries.length - entriesMax));
  return [
    "Member",
    `  raft id:     ${identity.raftId}`,
    `  node:        ${identity.nodeId}`,
    `  cluster:     ${identity.clusterId}`,
    `  began:       ${identity.founder ? "as founder" : "by joining"}`,
    "Hard state",
    `  term:        ${hardState.term}`,
    `  voted for:   ${hardState.vote === 0 ? "nobody" : hardState.vote}`,
    `  committed:   ${Math.max(hardState.commit, state?.meta.index ?? 0)} (at least)`,
    "Membership",
    ...membership.members.map((member) => `  ${memberText(member, identity.raftId)}`),
    ...(membership.removed.length === 0 ? [] : [`  removed:     ${membership.removed.join(", ")}`]),
    "Log",
    `  begins after ${base.index} (term ${base.term}), ends at ${lastIndex}`,
    ...segments.map((segment) => `  segment ${segment.number}: up to entry ${segment.lastIndex}`),
    ...(dump.tornBytes === 0
      ? []
      : [`  ${dump.tornBytes} bytes of a torn write follow; the next start cuts them`]),
    ...(shown.length < entries.length ? [`  … ${entries.length - shown.length} older entries`] : []),
    ...shown.map((entry) => `  ${entryText(entry, words)}`),
    "State",
    ...(state === undefined
      ? [`  not readable: ${dump.stateMissing}`]
      : [
          `  at entry ${state.meta.index} (term ${state.meta.term}), ${state.pairs.length} objects`,
          ...words.state(state.pairs).map((line) => `  ${line}`),
        ]),
  ].join("\n");
}

function memberText({ raftId, nodeId, address, learner }: RaftMember, self: number): string {
  const kind = learner ? "learner" : "voter  ";
  return `${kind} ${raftId} node ${nodeId} at ${address}${raftId === self ? " (this one)" : ""}`;
}

function entryText(entry: Entry, words: DumpWords): string {
  return `${entry.index} term ${entry.term} ${entryContent(entry, words)}`;
}

export function entryContent({ kind, data }: Entry, words: DumpWords): string {
  if (kind === EntryKind.CONF_CHANGE) {
    const { kind: change, member } = decodeConfChange(data);
    const name = change.replace("CONF_CHANGE_KIND_", "").toLowerCase().replaceAll("_", " ");
    const where = `node ${member?.nodeId ?? ""} at ${member?.address ?? ""}`;
    return `membership: ${name} ${member?.raftId ?? 0} (${where})`;
  }
  return data.length === 0 ? "first entry of a leader" : `${data.length} bytes: ${words.entry(data)}`;
}
