import assert from "node:assert/strict";
import { test } from "node:test";

import { InvariantError } from "../../base/errors/invariant.js";
import { membershipOf, TestCluster, TestMember } from "../../test/support/raft-cluster.js";
import { entries, message } from "../../test/support/raft-messages.js";
import { MemoryLog } from "../storage/memory-log.js";
import { MessageKind } from "./message.js";

function memberOf(voters: readonly number[], terms: readonly number[] = []): TestMember {
  const log = new MemoryLog(membershipOf(voters));
  log.append(entries(1, terms));
  log.setHardState({ term: terms.at(-1) ?? 0, vote: 0, commit: 0 });
  const member = new TestMember(1, log);
  member.drain();
  return member;
}

const answer = (member: TestMember) =>
  member.drain().map(({ kind, term, reject }) => ({ kind, term, reject }));

test("a follower campaigns after a timeout between one and two election timeouts (paper 5.2)", () => {
  const seen = new Set<number>();
  for (let id = 1; id <= 60; id++) {
    const member = new TestMember(id, new MemoryLog(membershipOf([id, 100, 101])));
    let ticks = 0;
    while (member.core.status().role === "follower") {
      member.core.tick();
      ticks += 1;
    }
    assert.ok(ticks >= 10 && ticks < 20, `campaigned after ${ticks} ticks`);
    seen.add(ticks);
  }
  assert.ok(seen.size > 5, "timeouts differ between members");
});

test("pre-vote raises no term until a majority would vote (thesis 9.6)", () => {
  const member = memberOf([1, 2, 3]);
  member.core.campaign();
  const asked = member.drain();
  assert.deepEqual(
    asked.map(({ kind, to, term }) => [kind, to, term]),
    [
      [MessageKind.PRE_VOTE, 2, 1],
      [MessageKind.PRE_VOTE, 3, 1],
    ],
  );
  assert.equal(member.core.status().term, 0);
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 3, 1));
  assert.equal(member.core.status().role, "candidate");
  assert.equal(member.core.status().term, 1);
  assert.equal(member.drain().filter(({ kind }) => kind === MessageKind.VOTE).length, 2);
});

test("a grant of an earlier pre-vote does not count in a later term (thesis 9.6)", () => {
  const member = memberOf([1, 2, 3], [4]);
  member.core.campaign();
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 2, 4));
  assert.equal(member.core.status().role, "pre-candidate");
});

test("a vote is granted once per term, again only to the same candidate (paper 5.2)", () => {
  const member = memberOf([1, 2, 3]);
  member.core.step(message(MessageKind.VOTE, 2, 1));
  member.core.step(message(MessageKind.VOTE, 3, 1));
  member.core.step(message(MessageKind.VOTE, 2, 1));
  assert.deepEqual(
    answer(member).map(({ reject }) => reject),
    [false, true, false],
  );
});

test("the vote survives a restart, because it is synced before the answer leaves (paper figure 2)", () => {
  const member = memberOf([1, 2, 3]);
  member.core.step(message(MessageKind.VOTE, 2, 1));
  const ready = member.core.ready();
  assert.deepEqual(ready.hardState, { term: 1, vote: 2, commit: 0 });
  assert.equal(ready.mustSync, true);
  assert.equal(ready.messagesBeforeSync.length, 0);
  assert.equal(ready.messages[0]?.kind, MessageKind.VOTE_RESPONSE);
  member.log.setHardState({ term: 1, vote: 2, commit: 0 });
  const restarted = new TestMember(1, member.log);
  restarted.core.step(message(MessageKind.VOTE, 3, 1));
  assert.deepEqual(answer(restarted), [{ kind: MessageKind.VOTE_RESPONSE, term: 1, reject: true }]);
});

test("a candidate whose log is behind gets no vote (paper 5.4.1)", () => {
  for (const { index, logTerm, isGranted } of [
    { index: 9, logTerm: 1, isGranted: false },
    { index: 2, logTerm: 2, isGranted: false },
    { index: 3, logTerm: 2, isGranted: true },
    { index: 1, logTerm: 3, isGranted: true },
  ]) {
    const member = memberOf([1, 2, 3], [1, 2, 2]);
    member.core.step(message(MessageKind.VOTE, 2, 5, { index, logTerm }));
    assert.deepEqual(answer(member), [{ kind: MessageKind.VOTE_RESPONSE, term: 5, reject: !isGranted }]);
  }
});

test("who heard a leader within the election timeout ignores votes, unless forced (thesis 4.2.3)", () => {
  const member = memberOf([1, 2, 3]);
  member.core.step(message(MessageKind.HEARTBEAT, 2, 1));
  member.drain();
  member.core.step(message(MessageKind.PRE_VOTE, 3, 2));
  member.core.step(message(MessageKind.VOTE, 3, 2));
  assert.deepEqual(answer(member), []);
  assert.equal(member.core.status().term, 1);
  member.core.step(message(MessageKind.VOTE, 3, 2, { force: true }));
  assert.deepEqual(answer(member), [{ kind: MessageKind.VOTE_RESPONSE, term: 2, reject: false }]);
});

test("the lease ends with the minimum election timeout (thesis 4.2.3)", () => {
  const member = memberOf([1, 2, 3]);
  member.core.step(message(MessageKind.HEARTBEAT, 2, 1));
  for (let tick = 0; tick < 10; tick++) member.core.tick();
  member.drain();
  member.core.step(message(MessageKind.PRE_VOTE, 3, 2));
  assert.deepEqual(answer(member), [{ kind: MessageKind.PRE_VOTE_RESPONSE, term: 2, reject: false }]);
});

test("a candidate that hears the term's leader follows it (paper 5.2)", () => {
  const member = memberOf([1, 2, 3]);
  member.core.campaign();
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 2, 1));
  assert.equal(member.core.status().role, "candidate");
  member.core.step(message(MessageKind.APPEND, 3, 1));
  assert.deepEqual([member.core.status().role, member.core.status().leader], ["follower", 3]);
});

test("a candidate that a majority refuses goes back to waiting (paper 5.2)", () => {
  const member = memberOf([1, 2, 3]);
  member.core.campaign();
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 2, 0, { reject: true }));
  assert.equal(member.core.status().role, "pre-candidate");
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 3, 0, { reject: true }));
  assert.equal(member.core.status().role, "follower");
});

test("a higher term makes even a leader a follower (paper 5.1)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).step(message(MessageKind.APPEND, 2, 9));
  const { role, term, leader } = cluster.core(1).status();
  assert.deepEqual({ role, term, leader }, { role: "follower", term: 9, leader: 2 });
});

test("a stale leader is told the current term, and steps down (paper 5.1)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.isolate(1);
  cluster.run(25);
  assert.notEqual(cluster.leader(), 1);
  const member = cluster.member(2);
  member.core.step(message(MessageKind.HEARTBEAT, 1, 1, { to: 2 }));
  const [told] = member.drain();
  assert.ok(told !== undefined && told.term > 1);
});

test("a leader that no majority answers steps down within an election timeout (thesis 6.2)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.isolate(1);
  cluster.tick(1, 20);
  assert.equal(cluster.core(1).status().role, "follower");
});

test("a partitioned member that comes back does not disturb the leader (thesis 9.6)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  const { term } = cluster.core(1).status();
  cluster.isolate(3);
  cluster.run(100);
  assert.equal(cluster.core(3).status().term, term);
  cluster.heal();
  cluster.run(3);
  assert.deepEqual([cluster.leader(), cluster.core(1).status().term], [1, term]);
  assert.equal(cluster.core(3).status().leader, 1);
});

test("a learner never campaigns, but answers when asked: it may have been promoted (thesis 4.2.1)", () => {
  const member = new TestMember(1, new MemoryLog(membershipOf([2, 3], [1])));
  for (let tick = 0; tick < 100; tick++) member.core.tick();
  member.core.campaign();
  assert.deepEqual(answer(member), []);
  assert.equal(member.core.status().role, "learner");
  member.core.step(message(MessageKind.VOTE, 2, 1));
  assert.deepEqual(answer(member), [{ kind: MessageKind.VOTE_RESPONSE, term: 1, reject: false }]);
});

test("a learner's ballot does not count", () => {
  const member = new TestMember(1, new MemoryLog(membershipOf([1, 2, 3], [4])));
  member.core.campaign();
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 4, 1));
  assert.equal(member.core.status().role, "pre-candidate");
});

test("two leaders in one term are a bug that stops the process (paper figure 3)", () => {
  const member = memberOf([1, 2, 3]);
  member.core.step(message(MessageKind.HEARTBEAT, 2, 1));
  assert.throws(() => member.core.step(message(MessageKind.HEARTBEAT, 3, 1)), InvariantError);
});
