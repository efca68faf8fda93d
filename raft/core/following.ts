/**
 * The follower's side of replication: appends, heartbeats and snapshots from the leader.
 * Pure. Invariant: an acknowledged index is in the log, and the host syncs it before the answer leaves.
 * Source: Raft paper 5.3, figure 13 (InstallSnapshot).
 */
import { invariant } from "../../base/errors/invariant.js";
import { type CoreState, send } from "./core-state.js";
import { promiseTo } from "./lease.js";
import { MessageKind } from "./message.js";
import { becomeFollower } from "./role.js";
import type { RaftMessage } from "./types.js";

/** A message that only the leader of our term sends: believe it, and start the timeout anew. */
export function hearLeader(state: CoreState, message: RaftMessage): void {
  invariant(
    state.activity !== "leader" && (state.leader === 0 || state.leader === message.from),
    `members ${state.leader} and ${message.from} both lead term ${state.term}`,
  );
  if (state.activity !== "follower") becomeFollower(state, state.term, message.from);
  state.leader = message.from;
  state.electionElapsed = 0;
  state.hint = undefined;
}

export function handleAppend(state: CoreState, message: RaftMessage): void {
  const { log } = state;
  // Entries behind a snapshot that is not installed yet could not be written: the leader probes again later.
  if (log.pendingSnapshot !== undefined) return;
  if (message.index < log.commitIndex) {
    send(state, MessageKind.APPEND_RESPONSE, message.from, { index: log.commitIndex });
    return;
  }
  if (!log.matches(message.index, message.logTerm)) {
    const hint = log.findConflictByTerm(message.index, message.logTerm);
    send(state, MessageKind.APPEND_RESPONSE, message.from, {
      index: message.index,
      reject: true,
      rejectHint: hint.index,
      logTerm: hint.term,
    });
    return;
  }
  log.merge(message.entries);
  const lastNew = message.index + message.entries.length;
  log.commitTo(Math.min(message.commit, lastNew));
  send(state, MessageKind.APPEND_RESPONSE, message.from, { index: lastNew });
}

export function handleHeartbeat(state: CoreState, message: RaftMessage): void {
  state.log.commitTo(message.commit);
  const lease = promiseTo(state, message.lease);
  send(state, MessageKind.HEARTBEAT_RESPONSE, message.from, { context: message.context, lease });
}

export function handleSnapshot(state: CoreState, message: RaftMessage): void {
  const { log } = state;
  const { snapshot } = message;
  invariant(snapshot?.membership !== undefined, "a snapshot message without a snapshot");
  if (snapshot.index > log.commitIndex) {
    // The log may hold the snapshot's last entry already: then it holds all before it, too (Log Matching).
    if (log.matches(snapshot.index, snapshot.term)) log.commitTo(snapshot.index);
    else log.restore(snapshot);
  }
  send(state, MessageKind.APPEND_RESPONSE, message.from, { index: log.commitIndex });
}
