import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { ResourceExhaustedError } from "../../base/errors/errors.js";
import { Cluster, word } from "../../test/support/raft-hosts.js";

const clusters: Cluster[] = [];

async function ofThree(): Promise<Cluster> {
  const cluster = await Cluster.ofThree();
  clusters.push(cluster);
  return cluster;
}

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.close();
});

test("three may join at a time; the next is told whom it waits for, and a dropped one makes room", async () => {
  const cluster = await ofThree();
  const { node } = cluster.leader;
  const add = (nodeId: string) => cluster.during(node.addMember({ nodeId, address: `${nodeId}:2377` }));
  const { raftId } = await add("d");
  await add("e");
  await add("f");
  await assert.rejects(add("g"), (error: unknown) => {
    assert.ok(error instanceof ResourceExhaustedError);
    assert.match(error.message, /3 managers have joined and not caught up yet, and at most 3 may/);
    assert.match(error.message, /d at d:2377 \(has 0 of \d+ entries\); e at e:2377 .*; f at f:2377 /);
    assert.ok((error.retryAfterMs ?? 0) > 0);
    return true;
  });
  assert.equal((await add("d")).raftId, raftId, "who asks again is the same learner");
  const learners = node.status().membership.members.filter(({ learner }) => learner);
  assert.deepEqual(learners.map(({ nodeId }) => nodeId).sort(), ["d", "e", "f"], "shown");
  await cluster.during(node.removeMember(raftId));
  await add("g");
});

test("a learner that caught up becomes a voter by itself, also under writes (thesis 4.2.1)", async () => {
  const cluster = await ofThree();
  const { node } = cluster.leader;
  for (const nodeId of ["d", "e", "f"]) {
    const reply = await cluster.during(node.addMember({ nodeId, address: `${nodeId}:2377` }));
    await cluster.open(nodeId, { kind: "join", ...reply });
    await Promise.all(Array.from({ length: 100 }, (_, k) => node.propose(word(`${nodeId}${k}`))));
  }
  await cluster.until("all are voters", () =>
    node.status().membership.members.every((each) => !each.learner),
  );
  assert.equal(node.status().membership.members.length, 6);
});

test("a new leader judges who joins by the membership that its predecessor left", async () => {
  const cluster = await ofThree();
  const { leader } = cluster;
  const d = await cluster.join("d", leader);
  await cluster.during(leader.node.transferLeadership());
  const next = cluster.leader;
  // Its own term has just begun; d, a voter since a moment ago, comes back without its disk.
  cluster.crash(d);
  const reply = await cluster.during(next.node.addMember({ nodeId: "d", address: "d:2377" }));
  assert.notEqual(reply.raftId, d.node.raftId);
  assert.ok(reply.removed.includes(d.node.raftId));
});

test("a manager that comes up long after it was added becomes a voter, also where nothing is written", async () => {
  const cluster = await ofThree();
  const { node } = cluster.leader;
  const reply = await cluster.during(node.addMember({ nodeId: "d", address: "d:2377" }));
  await cluster.tick(40);
  await cluster.open("d", { kind: "join", ...reply });
  await cluster.until("it votes", () => node.status().membership.members.every((each) => !each.learner), 10);
});
