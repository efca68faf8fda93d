import assert from "node:assert/strict";
import { test } from "node:test";

import { TestCluster } from "../../test/support/raft-cluster.js";

test("three members elect a leader and replicate what it proposes", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  assert.equal(cluster.leader(), 1);
  cluster.propose(1, "a", "b");
  for (const id of [1, 2, 3]) assert.deepEqual(cluster.member(id).texts(), ["a", "b"]);
});

test("a single voter leads and commits alone", () => {
  const cluster = new TestCluster([7]);
  cluster.run(20);
  assert.equal(cluster.leader(), 7);
  cluster.propose(7, "alone");
  assert.deepEqual(cluster.member(7).texts(), ["alone"]);
});

test("without a campaign the timeout elects a leader", () => {
  const cluster = new TestCluster([1, 2, 3, 4, 5]);
  cluster.run(45);
  assert.notEqual(cluster.leader(), undefined);
});
