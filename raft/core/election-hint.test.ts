import assert from "node:assert/strict";
import { test } from "node:test";

import { membershipOf, TestCluster, TestMember } from "../../test/support/raft-cluster.js";
import { message } from "../../test/support/raft-messages.js";
import { MemoryLog } from "../storage/memory-log.js";
import { MessageKind } from "./message.js";

function followerOf(leader: number, id = 1): TestMember {
  const voters = [id, leader, 300];
  const member = new TestMember(id, new MemoryLog(membershipOf(voters)));
  member.core.step(message(MessageKind.HEARTBEAT, leader, 1, { to: id }));
  member.drain();
  return member;
}

test("a broken connection to the leader starts pre-vote after 0 to 2 ticks", () => {
  const seen = new Set<number>();
  for (let id = 1; id <= 40; id++) {
    const member = followerOf(200, id);
    member.core.connectionLost(200);
    let ticks = 0;
    for (; member.core.status().role === "follower"; ticks++) member.core.tick();
    seen.add(ticks);
  }
  assert.deepEqual([...seen].sort(), [0, 1, 2]);
});

test("a broken connection to somebody else means nothing", () => {
  const member = followerOf(2);
  member.core.connectionLost(300);
  for (let tick = 0; tick < 5; tick++) member.core.tick();
  assert.equal(member.core.status().role, "follower");
});

test("after the hint a member no longer shields the leader that it lost", () => {
  const member = followerOf(2);
  member.core.step(message(MessageKind.PRE_VOTE, 300, 2));
  assert.deepEqual(member.drain(), []);
  member.core.connectionLost(2);
  member.core.step(message(MessageKind.PRE_VOTE, 300, 2));
  assert.ok(member.drain().some(({ kind, reject }) => kind === MessageKind.PRE_VOTE_RESPONSE && !reject));
});

test("the leader's next heartbeat clears a false hint", () => {
  const member = followerOf(2);
  member.core.connectionLost(2);
  for (let tick = 0; tick < 3; tick++) member.core.tick();
  assert.equal(member.core.status().role, "pre-candidate");
  member.core.step(message(MessageKind.HEARTBEAT, 2, 1));
  for (let tick = 0; tick < 9; tick++) member.core.tick();
  assert.deepEqual([member.core.status().role, member.core.status().leader], ["follower", 2]);
});

test("a false hint at one member costs the cluster neither its leader nor its term", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(2).connectionLost(1);
  cluster.run(5);
  assert.deepEqual([cluster.leader(), cluster.core(1).status().term], [1, 1]);
});

test("when the leader dies, the survivors elect long before the timeout", () => {
  for (const lost of [1, 2, 3]) {
    const cluster = new TestCluster([1, 2, 3]);
    cluster.elect(lost);
    cluster.members.delete(lost);
    for (const member of cluster.members.values()) member.core.connectionLost(lost);
    cluster.settle();
    for (let tick = 0; tick < 9 && cluster.leader() === undefined; tick++) cluster.run(1);
    assert.notEqual(cluster.leader(), undefined);
  }
});
