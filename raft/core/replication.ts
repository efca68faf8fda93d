/**
 * The leader's side of replication: what to send to whom, and what the answers mean.
 * Pure. Messages are made when a Ready is asked for, so that what is proposed meanwhile shares one message.
 * Invariant: `match` of a peer never exceeds what it has synced. Source: Raft paper 5.3, 7; thesis 10.2.1.
 */
import { invariant } from "../../base/errors/invariant.js";
import { entriesBytes } from "../log/entry-bytes.js";
import type { Progress } from "../tracker/progress.js";
import { commitByCounting } from "./commit.js";
import { type CoreState, send } from "./core-state.js";
import { leaseStamp } from "./lease.js";
import { MessageKind } from "./message.js";
import { continueTransfer } from "./transfer.js";
import type { RaftId, RaftMessage } from "./types.js";

/** Sends to every peer what it may receive now. */
export function replicate(state: CoreState): void {
  if (state.activity !== "leader" || !state.replicationDue) return;
  state.replicationDue = false;
  for (const peer of state.progress.values()) {
    if (peer.raftId === state.id) continue;
    while (sendNext(state, peer)) {
      // Until the peer is up to date or its window is full.
    }
  }
}

/** Asks for an append to every peer, even an empty one: it carries the new commit index. */
export function oweAppendToAll(state: CoreState): void {
  state.replicationDue = true;
  for (const peer of state.progress.values()) peer.appendOwed = peer.raftId !== state.id;
}

function oweAppend(state: CoreState, peer: Progress): void {
  peer.appendOwed = true;
  state.replicationDue = true;
}

export function handleAppendResponse(state: CoreState, peer: Progress, message: RaftMessage): void {
  peer.heard();
  if (message.reject) {
    // Skip the whole terms that the follower cannot share with us (Raft paper, end of 5.3).
    const hint =
      message.logTerm > 0
        ? state.log.findConflictByTerm(message.rejectHint, message.logTerm).index
        : message.rejectHint;
    if (peer.refuse(message.index, hint)) oweAppend(state, peer);
    return;
  }
  invariant(
    message.index <= state.log.lastIndex,
    `member ${peer.raftId} acknowledged ${message.index}, the leader's log ends at ${state.log.lastIndex}`,
  );
  const wasPaused = peer.isPaused();
  const isNews = peer.acknowledge(message.index);
  peer.noteCatchUp(state.log.lastIndex);
  if (peer.state === "probe" && (isNews || message.index === peer.match)) {
    peer.becomeReplicate();
  } else if (peer.state === "snapshot" && isNews && peer.match + 1 >= state.log.firstIndex) {
    // Whatever became of the snapshot, the log can serve this peer again.
    peer.becomeProbe();
    peer.becomeReplicate();
  } else if (peer.state === "replicate") {
    peer.inflight.freeTo(message.index);
  }
  if (isNews) {
    if (commitByCounting(state)) oweAppendToAll(state);
    continueTransfer(state, peer);
  }
  if (wasPaused || peer.next <= state.log.lastIndex) state.replicationDue = true;
}

/** The answer of a follower that lives: whatever was lost on the way is worth another try. */
export function handleHeartbeatResponse(state: CoreState, peer: Progress): void {
  peer.heard();
  peer.probeSent = false;
  if (peer.state === "replicate" && peer.inflight.isFull()) peer.inflight.freeOldest();
  if (peer.match < state.log.lastIndex || peer.state === "probe") oweAppend(state, peer);
  // TIMEOUT_NOW may have been lost; a second one finds a later term and does nothing
  continueTransfer(state, peer);
}

/** A heartbeat never commits more than the follower is known to share with us. */
export function sendHeartbeats(state: CoreState): void {
  const context = state.readRound?.id ?? 0;
  const lease = leaseStamp(state);
  for (const peer of state.progress.values()) {
    if (peer.raftId === state.id) continue;
    const commit = Math.min(peer.match, state.log.commitIndex);
    send(state, MessageKind.HEARTBEAT, peer.raftId, { commit, context, lease });
  }
}

export function noteUnreachable(state: CoreState, id: RaftId): void {
  const peer = state.progress.get(id);
  if (peer === undefined || id === state.id) return;
  // What is in flight is probably lost: stop running ahead.
  if (peer.state === "replicate") peer.becomeProbe();
}

export function noteSnapshotEnded(state: CoreState, id: RaftId, delivered: boolean): void {
  const peer = state.progress.get(id);
  if (peer?.state === "snapshot") peer.snapshotEnded(delivered);
}

/** @returns whether a message was made and another may follow. */
function sendNext(state: CoreState, peer: Progress): boolean {
  const { log, limits } = state;
  const hasEntries = peer.next <= log.lastIndex;
  if ((!hasEntries && !peer.appendOwed) || peer.isPaused()) return false;
  const previous = peer.next - 1;
  const previousTerm = log.term(previous);
  if (previousTerm === undefined || peer.next < log.firstIndex) {
    announceSnapshot(state, peer);
    return false;
  }
  const entries = log.slice(peer.next, log.lastIndex + 1, limits.bytesPerMessageMax);
  send(state, MessageKind.APPEND, peer.raftId, {
    index: previous,
    logTerm: previousTerm,
    entries,
    commit: log.commitIndex,
  });
  peer.appendOwed = false;
  peer.sent(entries.length, previous + entries.length, entriesBytes(entries));
  return true;
}

/** The entries are gone: the host streams a snapshot and reports how that ended. */
function announceSnapshot(state: CoreState, peer: Progress): void {
  // A dead peer would only waste the stream; its first heartbeat answer brings us back here.
  if (!peer.recentlyActive) return;
  const snapshot = state.log.snapshotMeta();
  invariant(
    snapshot.index >= state.log.firstIndex - 1,
    `the snapshot at ${snapshot.index} leaves a gap before the log's start ${state.log.firstIndex}`,
  );
  send(state, MessageKind.SNAPSHOT, peer.raftId, { snapshot });
  peer.appendOwed = false;
  peer.becomeSnapshot(snapshot.index);
}
