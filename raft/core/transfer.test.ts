import assert from "node:assert/strict";
import { test } from "node:test";

import { FailedPreconditionError, NotLeaderError } from "../../base/errors/errors.js";
import { TestCluster } from "../../test/support/raft-cluster.js";
import { MessageKind } from "./message.js";

test("leadership moves to a caught-up voter in one round, without waiting for a timeout (thesis 3.10)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).transferLeadership(3);
  cluster.settle();
  assert.deepEqual([cluster.leader(), cluster.core(3).status().term], [3, 2]);
  assert.equal(cluster.core(1).status().role, "follower");
});

test("a lagging target is brought up to date first (thesis 3.10)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.cut.add("1->3");
  cluster.propose(1, "a", "b");
  cluster.core(1).transferLeadership(3);
  cluster.heal();
  cluster.run(3);
  assert.equal(cluster.leader(), 3);
  assert.deepEqual(cluster.member(3).texts(), ["a", "b"]);
});

test("nothing is proposed while a transfer runs, and it is given up after an election timeout (thesis 3.10)", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.isolate(3);
  cluster.core(1).transferLeadership(3);
  cluster.settle();
  assert.throws(
    () => cluster.core(1).propose([Buffer.from("x")]),
    (error) => error instanceof NotLeaderError && error.leaderAddress === "10.0.0.3:4242",
  );
  cluster.run(10);
  cluster.propose(1, "again");
  assert.deepEqual(cluster.member(2).texts(), ["again"]);
});

test("only a voter can take over, and only the leader hands over", () => {
  const cluster = new TestCluster([1, 2, 3], { learners: [4] });
  cluster.elect(1);
  assert.throws(() => cluster.core(1).transferLeadership(4), FailedPreconditionError);
  assert.throws(() => cluster.core(1).transferLeadership(99), FailedPreconditionError);
  assert.throws(() => cluster.core(2).transferLeadership(3), NotLeaderError);
});

test("a transfer to itself changes nothing", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).transferLeadership(1);
  cluster.propose(1, "still here");
  assert.equal(cluster.member(3).texts().length, 1);
});

test("a repeated TIMEOUT_NOW does not start another election", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).transferLeadership(3);
  const order = cluster
    .member(1)
    .drain()
    .find(({ kind }) => kind === MessageKind.TIMEOUT_NOW);
  assert.ok(order !== undefined);
  cluster.core(3).step(order);
  cluster.core(3).step(order);
  cluster.settle();
  assert.equal(cluster.core(3).status().term, 2);
});

test("a lost TIMEOUT_NOW is sent again with the next heartbeat's answer", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.core(1).transferLeadership(3);
  const lost = cluster.member(1).drain();
  assert.ok(lost.some(({ kind }) => kind === MessageKind.TIMEOUT_NOW));
  cluster.run(1);
  assert.equal(cluster.leader(), 3);
});
