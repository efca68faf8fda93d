/**
 * What is held back, what replaces it, and when it goes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { describeMessage, MessageKind, makeMessage } from "../core/message.js";
import type { RaftMessage } from "../core/types.js";
import { makeEntry } from "../log/make-entry.js";
import { CommitNotices } from "./commit-notices.js";

function opened(): { notices: CommitNotices; clock: ManualClock; sent: string[] } {
  const clock = new ManualClock();
  const sent: string[] = [];
  const transport = {
    send: (messages: readonly RaftMessage[]): void => {
      sent.push(...messages.map(describeMessage));
    },
  };
  return { notices: new CommitNotices({ transport, clock }), clock, sent };
}

function append(to: number, options: { commit: number; entries?: number }): RaftMessage {
  const entries = Array.from({ length: options.entries ?? 0 }, (_, at) =>
    makeEntry({ term: 1, index: 8 + at }, Uint8Array.of(1)),
  );
  const fields = { index: 7, logTerm: 1, commit: options.commit, entries };
  return makeMessage(MessageKind.APPEND, { from: 1, to, term: 1 }, fields);
}

test("an empty append waits a moment, what carries entries goes at once", () => {
  const { notices, clock, sent } = opened();
  notices.send([append(2, { commit: 7 }), append(3, { commit: 6, entries: 1 })]);
  assert.deepEqual(sent, ["1->3 APPEND term=1 log=7/1 entries=8..8 commit=6"]);
  clock.advance(10);
  assert.deepEqual(sent.slice(1), ["1->2 APPEND term=1 log=7/1 commit=7"]);
  clock.advance(10);
  assert.equal(sent.length, 2);
});

test("entries that carry the commit index replace what is held, those that carry less do not", () => {
  const { notices, clock, sent } = opened();
  notices.send([append(2, { commit: 7 }), append(3, { commit: 7 })]);
  notices.send([append(2, { commit: 7, entries: 2 }), append(3, { commit: 6, entries: 2 })]);
  clock.advance(10);
  assert.deepEqual(sent.slice(2), ["1->3 APPEND term=1 log=7/1 commit=7"]);
});

test("only the newest notice of a peer is held, and heartbeats never", () => {
  const { notices, clock, sent } = opened();
  notices.send([append(2, { commit: 7 })]);
  notices.send([append(2, { commit: 8 })]);
  notices.send([makeMessage(MessageKind.HEARTBEAT, { from: 1, to: 2, term: 1 }, { commit: 7 })]);
  assert.deepEqual(sent, ["1->2 HEARTBEAT term=1 commit=7"]);
  clock.advance(10);
  assert.deepEqual(sent.slice(1), ["1->2 APPEND term=1 log=7/1 commit=8"]);
});

test("after the stop nothing is sent any more", () => {
  const { notices, clock, sent } = opened();
  notices.send([append(2, { commit: 7 })]);
  notices.stop();
  notices.send([append(2, { commit: 8 })]);
  clock.advance(10);
  assert.deepEqual(sent, []);
});
