import assert from "node:assert/strict";
import { test } from "node:test";

import { membershipOf, TestCluster, TestMember } from "../../test/support/raft-cluster.js";
import { entries, message } from "../../test/support/raft-messages.js";
import { MemoryLog } from "../storage/memory-log.js";
import { MessageKind } from "./message.js";

const stateOf = (cluster: TestCluster, id: number) =>
  cluster
    .core(1)
    .status()
    .progress.find((peer) => peer.raftId === id);

/** Leader 1 has compacted what member 3 still needs. */
function laggingCluster(): TestCluster {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.isolate(3);
  cluster.propose(1, "a", "b", "c");
  const { membership } = cluster.core(1).status();
  cluster.member(1).log.compact({ index: 4, term: 1, membership });
  return cluster;
}

test("a follower that needs compacted entries gets a snapshot, then the log (paper 7)", () => {
  const cluster = laggingCluster();
  cluster.heal();
  cluster.run(2);
  assert.ok(cluster.transcript.some((line) => line.includes("1->3 SNAPSHOT")));
  assert.equal(cluster.member(3).log.firstIndex(), 5);
  cluster.core(1).reportSnapshot(3, true);
  cluster.propose(1, "d");
  assert.deepEqual(cluster.member(3).texts(), ["d"]);
  assert.equal(stateOf(cluster, 3)?.state, "replicate");
});

test("nothing is sent to a follower while it installs a snapshot, and a failed one is tried again", () => {
  const cluster = laggingCluster();
  cluster.heal();
  cluster.cut.add("1->3");
  // It answers heartbeats that were sent before the cut: it is alive, but nothing reaches it.
  cluster.core(1).reportUnreachable(3);
  cluster.core(1).step(message(MessageKind.HEARTBEAT_RESPONSE, 3, 1));
  cluster.settle();
  const announced = () => cluster.transcript.filter((line) => line.includes("SNAPSHOT")).length;
  assert.deepEqual([stateOf(cluster, 3)?.state, announced()], ["snapshot", 1]);
  cluster.run(3);
  assert.equal(announced(), 1);
  cluster.core(1).reportSnapshot(3, false);
  cluster.heal();
  cluster.run(2);
  assert.equal(announced(), 2);
  assert.equal(cluster.member(3).log.firstIndex(), 5);
});

test("a snapshot is not announced to a follower that does not answer", () => {
  const cluster = laggingCluster();
  cluster.run(25);
  assert.equal(
    cluster.transcript.some((line) => line.includes("SNAPSHOT")),
    false,
  );
});

test("a follower installs before it acknowledges, and its commit index waits for that (paper 7)", () => {
  const member = new TestMember(1, new MemoryLog(membershipOf([2, 3])));
  member.drain();
  const snapshot = { index: 9, term: 2, membership: membershipOf([1, 2, 3]) };
  member.core.step(message(MessageKind.SNAPSHOT, 2, 2, { snapshot }));
  member.core.step(message(MessageKind.APPEND, 2, 2, { index: 9, logTerm: 2, entries: entries(10, [2]) }));
  const ready = member.core.ready();
  assert.equal(ready.snapshot, snapshot);
  assert.deepEqual([ready.hardState?.commit, ready.entries.length], [0, 0]);
  assert.deepEqual(
    ready.messages.map(({ kind, index }) => [kind, index]),
    [[MessageKind.APPEND_RESPONSE, 9]],
  );
  member.log.installSnapshot(snapshot);
  member.core.advance();
  const { commitIndex, appliedIndex, role } = member.core.status();
  assert.deepEqual([commitIndex, appliedIndex, role], [9, 9, "follower"]);
  assert.equal(member.core.ready().hardState?.commit, 9);
});

test("a snapshot that the log already covers keeps the log (paper figure 13)", () => {
  const log = new MemoryLog(membershipOf([1, 2, 3]));
  log.append(entries(1, [1, 1, 1]));
  log.setHardState({ term: 1, vote: 0, commit: 0 });
  const member = new TestMember(1, log);
  const snapshot = { index: 2, term: 1, membership: membershipOf([1, 2, 3]) };
  member.core.step(message(MessageKind.SNAPSHOT, 2, 1, { snapshot }));
  const [answer] = member.drain();
  assert.equal(answer?.index, 2);
  assert.deepEqual([log.lastIndex(), member.core.status().commitIndex], [3, 2]);
});

test("an old snapshot is answered with what is committed here", () => {
  const log = new MemoryLog(membershipOf([1, 2, 3]));
  log.append(entries(1, [1, 1, 1]));
  log.setHardState({ term: 1, vote: 0, commit: 3 });
  const member = new TestMember(1, log);
  const snapshot = { index: 2, term: 1, membership: membershipOf([1, 2, 3]) };
  member.core.step(message(MessageKind.SNAPSHOT, 2, 1, { snapshot }));
  assert.equal(member.drain().find(({ kind }) => kind === MessageKind.APPEND_RESPONSE)?.index, 3);
  assert.equal(log.lastIndex(), 3);
});
