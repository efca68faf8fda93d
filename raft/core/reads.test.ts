import assert from "node:assert/strict";
import { test } from "node:test";

import { UnavailableError } from "../../base/errors/errors.js";
import { membershipOf, TestCluster, TestMember } from "../../test/support/raft-cluster.js";
import { entries, message } from "../../test/support/raft-messages.js";
import { MemoryLog } from "../storage/memory-log.js";
import { MessageKind } from "./message.js";

test("a leader answers a read after a round of heartbeats proved its leadership (thesis 6.4)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, "a");
  cluster.core(1).readIndex(77);
  const sent = cluster.member(1).drain();
  assert.deepEqual(cluster.member(1).reads, [], "not before the round");
  cluster.wire.push(...sent);
  cluster.settle();
  assert.deepEqual(cluster.member(1).reads, [{ context: 77, index: 2 }]);
});

test("reads asked together share one round (thesis 6.4)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  for (const context of [1, 2, 3]) cluster.core(1).readIndex(context);
  const rounds = cluster
    .member(1)
    .drain()
    .filter(({ kind }) => kind === MessageKind.HEARTBEAT);
  assert.equal(rounds.length, 2, "one heartbeat for each follower");
  cluster.core(1).readIndex(4);
  assert.deepEqual(cluster.member(1).drain(), [], "the next round waits for this one");
  cluster.wire.push(...rounds);
  cluster.settle();
  assert.deepEqual(
    cluster.member(1).reads.map(({ context }) => context),
    [1, 2, 3, 4],
  );
});

test("a follower's read goes through the leader (thesis 6.4)", () => {
  const cluster = new TestCluster([1, 2, 3], { learners: [4] });
  cluster.elect(1);
  cluster.propose(1, "a");
  for (const id of [2, 4]) {
    cluster.core(id).readIndex(5);
    cluster.settle();
    assert.deepEqual(cluster.member(id).reads, [{ context: 5, index: 2 }]);
  }
});

test("a single voter answers at once", () => {
  const cluster = new TestCluster([1]);
  cluster.elect(1);
  cluster.core(1).readIndex(9);
  assert.deepEqual(cluster.member(1).drain(), []);
  assert.deepEqual(cluster.member(1).reads, [{ context: 9, index: 1 }]);
});

test("a new leader answers only after it has committed in its own term (paper 8)", () => {
  const log = new MemoryLog(membershipOf([1, 2, 3]));
  log.append(entries(1, [1, 1]));
  log.setHardState({ term: 1, vote: 0, commit: 1 });
  const member = new TestMember(1, log);
  member.core.campaign();
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 2, 2));
  member.core.step(message(MessageKind.VOTE_RESPONSE, 2, 2));
  member.drain();
  member.core.readIndex(5);
  const early = member.drain().filter(({ kind }) => kind === MessageKind.HEARTBEAT);
  assert.deepEqual(early, []);
  member.core.step(message(MessageKind.APPEND_RESPONSE, 2, 2, { index: 3 }));
  const [round] = member.drain().filter(({ kind }) => kind === MessageKind.HEARTBEAT);
  member.core.step(message(MessageKind.HEARTBEAT_RESPONSE, 2, 2, { context: round?.context ?? 0 }));
  member.drain();
  assert.deepEqual(member.reads, [{ context: 5, index: 3 }]);
});

test("an answer to an earlier heartbeat proves nothing about a later read (thesis 6.4)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).readIndex(1);
  cluster.settle();
  cluster.core(1).readIndex(2);
  cluster.member(1).drain();
  for (const context of [0, 1]) {
    cluster.core(1).step(message(MessageKind.HEARTBEAT_RESPONSE, 2, 1, { context }));
  }
  cluster.member(1).drain();
  assert.equal(cluster.member(1).reads.length, 1);
});

test("a learner's answer does not confirm a round", () => {
  const cluster = new TestCluster([1, 2, 3], { learners: [4] });
  cluster.elect(1);
  cluster.isolate(2);
  cluster.isolate(3);
  cluster.core(1).readIndex(1);
  cluster.settle();
  assert.deepEqual(cluster.member(1).reads, []);
});

test("a deposed leader answers nothing", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.isolate(1);
  cluster.core(1).readIndex(1);
  cluster.run(40);
  assert.deepEqual(cluster.member(1).reads, []);
  cluster.heal();
  cluster.run(5);
  assert.deepEqual(cluster.member(1).reads, []);
});

test("a round that was lost is repeated by the next heartbeat", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.isolate(1);
  cluster.core(1).readIndex(3);
  cluster.settle();
  cluster.heal();
  cluster.run(1);
  assert.deepEqual(cluster.member(1).reads, [{ context: 3, index: 1 }]);
});

test("without a leader a read is refused", () => {
  const cluster = new TestCluster([1, 2, 3]);
  assert.throws(() => cluster.core(1).readIndex(1), UnavailableError);
});
