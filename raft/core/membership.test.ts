import assert from "node:assert/strict";
import { test } from "node:test";

import { FailedPreconditionError, InvalidArgumentError, NotLeaderError } from "../../base/errors/errors.js";
import { ConfChangeKind } from "../../proto/gen/skein/v1/raft.js";
import { makeChange, membershipOf, TestCluster, TestMember } from "../../test/support/raft-cluster.js";
import { entries, message } from "../../test/support/raft-messages.js";
import { MemoryLog } from "../storage/memory-log.js";
import { changedMembership } from "./membership.js";
import { MessageKind } from "./message.js";

const votersOf = (cluster: TestCluster, id: number) =>
  cluster
    .core(id)
    .status()
    .membership.members.filter(({ learner }) => !learner)
    .map(({ raftId }) => raftId);

test("a newcomer joins as a learner, catches up and is promoted (thesis 4.2.1)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.propose(1, "before");
  cluster.start(4, new MemoryLog(membershipOf([1, 2, 3])));
  cluster.change(1, ConfChangeKind.ADD_LEARNER, 4);
  cluster.run(2);
  assert.deepEqual(cluster.member(4).texts(), ["before"]);
  assert.equal(cluster.core(4).status().role, "learner");
  cluster.change(1, ConfChangeKind.PROMOTE, 4);
  cluster.run(1);
  for (const id of [1, 2, 3, 4]) assert.deepEqual(votersOf(cluster, id), [1, 2, 3, 4]);
  cluster.isolate(2);
  cluster.propose(1, "with three of four");
  assert.equal(cluster.member(4).texts().length, 2);
});

test("a second change waits until the first is applied (thesis 4.1)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).proposeConfChange(makeChange(ConfChangeKind.ADD_LEARNER, 4));
  assert.throws(
    () => cluster.core(1).proposeConfChange(makeChange(ConfChangeKind.ADD_LEARNER, 5)),
    FailedPreconditionError,
  );
  cluster.settle();
  cluster.change(1, ConfChangeKind.ADD_LEARNER, 5);
  assert.equal(cluster.core(1).status().membership.members.length, 5);
});

test("a new leader changes nothing before it has committed in its own term (Ongaro 2015)", () => {
  const member = new TestMember(1, new MemoryLog(membershipOf([1, 2, 3])));
  member.core.campaign();
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 2, 1));
  member.core.step(message(MessageKind.VOTE_RESPONSE, 2, 1));
  member.drain();
  const change = makeChange(ConfChangeKind.ADD_LEARNER, 4);
  assert.throws(() => member.core.proposeConfChange(change), FailedPreconditionError);
  member.core.step(message(MessageKind.APPEND_RESPONSE, 2, 1, { index: 1 }));
  member.drain();
  assert.equal(member.core.proposeConfChange(change).index, 2);
});

test("a removed member may not return, and what it says is ignored (thesis 4.2.3)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.change(1, ConfChangeKind.REMOVE, 3);
  cluster.run(1);
  assert.deepEqual(votersOf(cluster, 2), [1, 2]);
  assert.deepEqual(cluster.core(2).status().membership.removed, [3]);
  const change = makeChange(ConfChangeKind.ADD_LEARNER, 3);
  assert.throws(() => cluster.core(1).proposeConfChange(change), FailedPreconditionError);
  cluster.core(2).step(message(MessageKind.VOTE, 3, 50, { to: 2, force: true, index: 99, logTerm: 49 }));
  assert.equal(cluster.core(2).status().term, 1);
});

test("a leader that removes itself commits that without counting itself, then steps down (thesis 4.2.2)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.change(1, ConfChangeKind.REMOVE, 1);
  assert.equal(cluster.core(1).status().role, "learner");
  assert.deepEqual(votersOf(cluster, 2), [2, 3]);
  assert.deepEqual(votersOf(cluster, 3), [2, 3]);
  cluster.run(40);
  assert.ok([2, 3].includes(cluster.leader() ?? 0));
});

test("removal shrinks the quorum at once", () => {
  const cluster = new TestCluster([1, 2]);
  cluster.elect(1);
  cluster.change(1, ConfChangeKind.REMOVE, 2);
  cluster.members.delete(2);
  cluster.propose(1, "alone");
  assert.deepEqual(cluster.member(1).texts(), ["alone"]);
});

test("senseless changes are refused with the reason", () => {
  const cluster = new TestCluster([1, 2], { learners: [3] });
  cluster.elect(1);
  for (const [kind, raftId, reason] of [
    [ConfChangeKind.ADD_LEARNER, 2, /is a member already/],
    [ConfChangeKind.ADD_VOTER, 9, /must join as a learner/],
    [ConfChangeKind.PROMOTE, 2, /is a voter already/],
    [ConfChangeKind.PROMOTE, 9, /is not a member/],
    [ConfChangeKind.REMOVE, 9, /is not a member/],
    [ConfChangeKind.REMOVE, 1, /transfer the leadership first/],
    [ConfChangeKind.UPDATE_ADDRESS, 9, /is not a member/],
  ] as const) {
    assert.throws(() => cluster.core(1).proposeConfChange(makeChange(kind, raftId)), reason);
  }
  cluster.change(1, ConfChangeKind.REMOVE, 2);
  assert.throws(
    () => cluster.core(1).proposeConfChange(makeChange(ConfChangeKind.REMOVE, 1)),
    /is the last voter/,
  );
  assert.throws(
    () => cluster.core(1).proposeConfChange(makeChange(ConfChangeKind.ADD_LEARNER, 0)),
    InvalidArgumentError,
  );
  assert.throws(
    () => cluster.core(3).proposeConfChange(makeChange(ConfChangeKind.REMOVE, 2)),
    NotLeaderError,
  );
});

test("a committed change is synced before anybody hears of its commit", () => {
  const cluster = new TestCluster([1, 2]);
  cluster.elect(1);
  const { core } = cluster.member(1);
  core.proposeConfChange(makeChange(ConfChangeKind.REMOVE, 2));
  cluster.member(1).drain();
  core.step(message(MessageKind.APPEND_RESPONSE, 2, 1, { index: 2 }));
  const ready = core.ready();
  assert.deepEqual([ready.hardState?.commit, ready.mustSync], [2, true]);
  assert.deepEqual(ready.messagesBeforeSync, []);
  assert.ok(ready.messages.some(({ kind, commit }) => kind === MessageKind.APPEND && commit === 2));
});

test("a member that knows of an unapplied change does not campaign", () => {
  const log = new MemoryLog(membershipOf([1]));
  const change = { ...entries(1, [1])[0], kind: "ENTRY_KIND_CONF_CHANGE" as const };
  log.append([{ term: 1, index: 1, data: new Uint8Array(0), ...change }]);
  log.setHardState({ term: 1, vote: 0, commit: 1 });
  const member = new TestMember(1, log);
  member.core.campaign();
  assert.equal(member.core.status().term, 1);
  assert.equal(member.core.status().role, "follower");
});

test("applying is total: what makes no sense any more does nothing", () => {
  const membership = { ...membershipOf([1, 2], [3]), removed: [9] };
  for (const [kind, raftId] of [
    [ConfChangeKind.ADD_LEARNER, 2],
    [ConfChangeKind.ADD_VOTER, 3],
    [ConfChangeKind.ADD_LEARNER, 9],
    [ConfChangeKind.PROMOTE, 1],
    [ConfChangeKind.PROMOTE, 7],
    [ConfChangeKind.UPDATE_ADDRESS, 7],
    [ConfChangeKind.REMOVE, 9],
    [ConfChangeKind.UNRECOGNIZED, 1],
  ] as const) {
    assert.equal(changedMembership(membership, makeChange(kind, raftId)), membership, `${kind} ${raftId}`);
  }
  assert.equal(
    changedMembership(membership, { ...makeChange(ConfChangeKind.REMOVE, 1), member: undefined }),
    membership,
  );
});

test("a founder's log begins with its own membership", () => {
  const log = new MemoryLog();
  const change = makeChange(ConfChangeKind.ADD_VOTER, 1);
  assert.deepEqual(
    changedMembership(log.initialState().membership, change).members.map(({ raftId, learner }) => [
      raftId,
      learner,
    ]),
    [[1, false]],
  );
});

test("an address changes, the role stays", () => {
  const before = membershipOf([1], [2]);
  const change = { ...makeChange(ConfChangeKind.UPDATE_ADDRESS, 2) };
  const moved = {
    ...change,
    member: { raftId: 2, nodeId: "ignored", address: "10.9.9.9:1", learner: false },
  };
  const after = changedMembership(before, moved).members.find(({ raftId }) => raftId === 2);
  assert.deepEqual(after, { raftId: 2, nodeId: "node-2", address: "10.9.9.9:1", learner: true });
});
