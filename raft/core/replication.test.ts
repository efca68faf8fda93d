import assert from "node:assert/strict";
import { test } from "node:test";

import { NotLeaderError, ResourceExhaustedError } from "../../base/errors/errors.js";
import { InvariantError } from "../../base/errors/invariant.js";
import { membershipOf, TestCluster, TestMember } from "../../test/support/raft-cluster.js";
import { entries, message } from "../../test/support/raft-messages.js";
import { MemoryLog } from "../storage/memory-log.js";
import { MessageKind } from "./message.js";
import type { RaftMessage } from "./types.js";

const appends = (messages: readonly RaftMessage[], to: number) =>
  messages.filter((sent) => sent.kind === MessageKind.APPEND && sent.to === to);

/** A cluster with a leader 1 whose messages the test carries by hand. */
function leaderOf(voters: readonly number[], tuning = {}): TestCluster {
  const cluster = new TestCluster(voters, { tuning });
  cluster.elect(1);
  return cluster;
}

test("a new leader appends an empty entry of its term (paper 8)", () => {
  const cluster = leaderOf([1, 2, 3]);
  assert.deepEqual(
    cluster.member(1).applied.map(({ term, index, data }) => [term, index, data.length]),
    [[1, 1, 0]],
  );
});

test("what is proposed between two Readies shares one message (thesis 10.2.1)", () => {
  const cluster = leaderOf([1, 2, 3]);
  for (const text of ["a", "b", "c"]) cluster.core(1).propose([Buffer.from(text)]);
  const sent = appends(cluster.member(1).drain(), 2);
  assert.deepEqual(
    sent.map((append) => append.entries.map((entry) => entry.index)),
    [[2, 3, 4]],
  );
});

test("appends leave before the leader's own sync, and its own entries count only after it (thesis 10.2.1)", () => {
  const cluster = leaderOf([1, 2, 3]);
  const { core } = cluster.member(1);
  core.propose([Buffer.from("a")]);
  const ready = core.ready();
  assert.equal(appends(ready.messagesBeforeSync, 2).length, 1);
  core.step(message(MessageKind.APPEND_RESPONSE, 2, 1, { index: 2 }));
  assert.equal(core.status().commitIndex, 1, "one follower and an unsynced leader are no majority");
  cluster.member(1).log.append(ready.entries);
  core.advance();
  assert.equal(core.status().commitIndex, 2);
});

test("two followers commit an entry that the leader has not synced yet (thesis 10.2.1)", () => {
  const cluster = leaderOf([1, 2, 3]);
  const { core } = cluster.member(1);
  core.propose([Buffer.from("a")]);
  core.ready();
  core.step(message(MessageKind.APPEND_RESPONSE, 2, 1, { index: 2 }));
  core.step(message(MessageKind.APPEND_RESPONSE, 3, 1, { index: 2 }));
  assert.equal(core.status().commitIndex, 2);
});

test("many proposals are in flight at once, up to the window (thesis 10.2.1)", () => {
  const cluster = leaderOf([1, 2], { inflightMessagesMax: 3 });
  const sent: RaftMessage[] = [];
  for (let count = 0; count < 5; count++) {
    cluster.core(1).propose([Buffer.from("x")]);
    sent.push(...appends(cluster.member(1).drain(), 2));
  }
  assert.deepEqual(
    sent.map((append) => append.index),
    [1, 2, 3],
  );
  cluster.core(1).step(message(MessageKind.APPEND_RESPONSE, 2, 1, { index: 2 }));
  const [next] = appends(cluster.member(1).drain(), 2);
  assert.deepEqual(
    next?.entries.map((entry) => entry.index),
    [5, 6],
  );
});

test("the window is bounded in bytes, too", () => {
  const cluster = leaderOf([1, 2], { inflightBytesMax: 100 });
  const sent: RaftMessage[] = [];
  for (let count = 0; count < 5; count++) {
    cluster.core(1).propose([new Uint8Array(60)]);
    sent.push(...appends(cluster.member(1).drain(), 2));
  }
  assert.equal(sent.length, 2);
});

test("a message is cut at its byte bound", () => {
  const cluster = leaderOf([1, 2], { bytesPerMessageMax: 200 });
  cluster.core(1).propose([new Uint8Array(70), new Uint8Array(70), new Uint8Array(70)]);
  const sent = appends(cluster.member(1).drain(), 2);
  assert.deepEqual(
    sent.map((append) => append.entries.length),
    [2, 1],
  );
});

test("a lost append is found by the next heartbeat and sent again (paper 5.3)", () => {
  const cluster = leaderOf([1, 2, 3]);
  cluster.cut.add("1->2");
  cluster.propose(1, "a", "b");
  cluster.heal();
  cluster.run(3);
  assert.deepEqual(cluster.member(2).texts(), ["a", "b"]);
});

test("a follower refuses what does not follow on its log, and says where it may agree (paper 5.3)", () => {
  const log = new MemoryLog(membershipOf([1, 2, 3]));
  log.append(entries(1, [1, 1, 1]));
  log.setHardState({ term: 1, vote: 0, commit: 0 });
  const member = new TestMember(1, log);
  member.core.step(message(MessageKind.APPEND, 2, 4, { index: 9, logTerm: 4 }));
  const response = member.drain().find(({ kind }) => kind === MessageKind.APPEND_RESPONSE);
  assert.deepEqual(
    [response?.reject, response?.index, response?.rejectHint, response?.logTerm],
    [true, 9, 3, 1],
  );
});

/** Raft paper figure 7: the followers that a leader of term 8 may meet. */
const FIGURE_7: Record<string, readonly number[]> = {
  a: [1, 1, 1, 4, 4, 5, 5, 6, 6],
  b: [1, 1, 1, 4],
  c: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
  d: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
  e: [1, 1, 1, 4, 4, 4, 4],
  f: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
};

for (const [name, terms] of Object.entries(FIGURE_7)) {
  test(`a leader brings the follower of figure 7 (${name}) to its own log in few round trips (paper 5.3)`, () => {
    const cluster = new TestCluster([1, 2, 3]);
    const leaderTerms = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    for (const [id, log] of [
      [1, leaderTerms],
      [2, terms],
      [3, leaderTerms],
    ] as const) {
      const storage = new MemoryLog(membershipOf([1, 2, 3]));
      storage.append(entries(1, log));
      storage.setHardState({ term: 7, vote: 0, commit: 0 });
      cluster.start(id, storage);
    }
    cluster.elect(1);
    assert.equal(cluster.leader(), 1);
    cluster.run(1);
    const termsOf = (id: number) =>
      cluster
        .member(id)
        .log.entries(1, 12, 10_000)
        .map(({ term }) => term);
    assert.deepEqual(termsOf(2), [...leaderTerms, 8]);
    const refusals = cluster.transcript.filter(
      (line) => line.includes("2->1 APPEND_RESPONSE") && line.includes("reject"),
    );
    assert.ok(refusals.length <= 3, `${refusals.length} refusals`);
  });
}

test("only an entry of the own term is committed by counting (paper 5.4.2, figure 8)", () => {
  const log = new MemoryLog(membershipOf([1, 2, 3, 4, 5]));
  log.append(entries(1, [1, 2]));
  log.setHardState({ term: 3, vote: 0, commit: 1 });
  const member = new TestMember(1, log);
  member.core.campaign();
  for (const from of [2, 3]) member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, from, 4));
  member.drain();
  for (const from of [2, 3]) member.core.step(message(MessageKind.VOTE_RESPONSE, from, 4));
  member.drain();
  assert.equal(member.core.status().role, "leader");
  for (const from of [2, 3]) member.core.step(message(MessageKind.APPEND_RESPONSE, from, 4, { index: 2 }));
  assert.equal(member.core.status().commitIndex, 1, "entry 2 of term 2 is on a majority, but not committed");
  for (const from of [2, 3]) member.core.step(message(MessageKind.APPEND_RESPONSE, from, 4, { index: 3 }));
  assert.equal(member.core.status().commitIndex, 3, "the entry of term 4 commits it, too");
});

test("a follower's commit index never passes what the message proves to match (paper figure 2)", () => {
  const log = new MemoryLog(membershipOf([1, 2, 3]));
  log.append(entries(1, [1, 1, 1]));
  log.setHardState({ term: 1, vote: 0, commit: 0 });
  const member = new TestMember(1, log);
  member.core.step(message(MessageKind.APPEND, 2, 2, { index: 1, logTerm: 1, commit: 3 }));
  assert.equal(member.core.status().commitIndex, 1);
});

test("old, repeated and reordered appends change nothing (paper 5.3, 5.5)", () => {
  const cluster = leaderOf([1, 2, 3]);
  cluster.propose(1, "a");
  cluster.propose(1, "b");
  cluster
    .core(2)
    .step(
      message(MessageKind.APPEND, 1, 1, { to: 2, index: 1, logTerm: 1, entries: entries(2, [1]), commit: 1 }),
    );
  cluster.settle();
  assert.equal(cluster.core(2).status().lastIndex, 3);
  assert.deepEqual(cluster.member(2).texts(), ["a", "b"]);
});

test("a learner receives everything and counts for nothing (thesis 4.2.1)", () => {
  const cluster = new TestCluster([1, 2, 3], { learners: [4] });
  cluster.elect(1);
  cluster.propose(1, "a");
  assert.deepEqual(cluster.member(4).texts(), ["a"]);
  cluster.isolate(2);
  cluster.isolate(3);
  cluster.propose(1, "b");
  assert.equal(cluster.core(1).status().commitIndex, 2);
});

test("a follower does not propose", () => {
  const cluster = leaderOf([1, 2, 3]);
  assert.throws(
    () => cluster.core(2).propose([Buffer.from("x")]),
    (error) => error instanceof NotLeaderError && error.leaderAddress === "10.0.0.1:4242",
  );
});

test("proposals are refused while too many bytes wait for commit, and accepted again after it", () => {
  const cluster = leaderOf([1, 2, 3], { uncommittedBytesMax: 300 });
  cluster.isolate(1);
  cluster.propose(1, "x".repeat(200));
  assert.throws(() => cluster.core(1).propose([new Uint8Array(200)]), ResourceExhaustedError);
  cluster.heal();
  cluster.run(2);
  cluster.propose(1, "y".repeat(200));
  assert.equal(cluster.member(2).texts().length, 2);
});

test("one batch beyond the bound is accepted when nothing else waits", () => {
  const cluster = leaderOf([1, 2, 3], { uncommittedBytesMax: 10 });
  cluster.propose(1, "x".repeat(500));
  assert.equal(cluster.member(3).texts().length, 1);
});

test("an acknowledgement beyond the leader's log is a bug that stops the process", () => {
  const cluster = leaderOf([1, 2, 3]);
  assert.throws(
    () => cluster.core(1).step(message(MessageKind.APPEND_RESPONSE, 2, 1, { index: 99 })),
    InvariantError,
  );
});

test("an unreachable peer is probed, not flooded", () => {
  const cluster = leaderOf([1, 2, 3]);
  cluster.core(1).reportUnreachable(2);
  const stateOf = (id: number) =>
    cluster
      .core(1)
      .status()
      .progress.find((peer) => peer.raftId === id)?.state;
  assert.deepEqual([stateOf(2), stateOf(3)], ["probe", "replicate"]);
});
