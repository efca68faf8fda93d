import assert from "node:assert/strict";
import { test } from "node:test";

import { type CoreTuning, membershipOf, TestCluster, TestMember } from "../../test/support/raft-cluster.js";
import { entries, message } from "../../test/support/raft-messages.js";
import { MemoryLog } from "../storage/memory-log.js";
import { LEASE_SHARE } from "./lease.js";
import { MessageKind } from "./message.js";

const E = 10;

/** One time for a whole cluster, in ticks; it does not go on by itself. */
class Time {
  now = 100;
  readonly tuning: CoreTuning = { leaseReads: { elapsedTicks: () => this.now } };

  /** Ticks everybody and delivers. */
  run(cluster: TestCluster, ticks: number): void {
    for (let i = 0; i < ticks; i++) {
      this.now += 1;
      cluster.run(1);
    }
  }
}

/** 1 leads 2 and 3 with a lease. */
function leased(voters = [1, 2, 3]): { cluster: TestCluster; time: Time } {
  const time = new Time();
  const cluster = new TestCluster(voters, { tuning: time.tuning });
  time.now += E; // the votes that everybody holds after a start
  cluster.elect(1);
  time.run(cluster, 1);
  return { cluster, time };
}

/** @returns whether leader 1 answers a read without asking anybody. */
function readsAtOnce(cluster: TestCluster, context: number): boolean {
  cluster.core(1).readIndex(context);
  const sent = cluster.member(1).drain();
  const isAnswered = cluster.member(1).reads.some((read) => read.context === context);
  assert.equal(
    sent.some(({ kind }) => kind === MessageKind.HEARTBEAT),
    !isAnswered,
    "else a round begins",
  );
  return isAnswered;
}

function voteOf(member: TestMember, term: number, options: { force?: boolean; pre?: boolean } = {}): string {
  const kind = options.pre === true ? MessageKind.PRE_VOTE : MessageKind.VOTE;
  const { id } = member.core.status();
  const ask = { to: id, index: 99, logTerm: term - 1, force: options.force ?? false };
  member.core.step(message(kind, 3, term, ask));
  const answer = member.drain().find((sent) => sent.to === 3 && sent.kind.endsWith("VOTE_RESPONSE"));
  return answer === undefined ? "none" : answer.reject ? "refused" : "granted";
}

test("a leader to whom a majority has promised answers reads without a message (thesis 6.4.1)", () => {
  const { cluster } = leased();
  assert.equal(readsAtOnce(cluster, 5), true);
  assert.deepEqual(cluster.member(1).reads, [{ context: 5, index: 1 }]);
  cluster.core(2).readIndex(6);
  cluster.settle();
  assert.deepEqual(cluster.member(2).reads, [{ context: 6, index: 1 }], "followers gain, too");
});

test("without the option nothing is promised, nothing relied on", () => {
  const cluster = new TestCluster([1, 2, 3]);
  cluster.elect(1);
  cluster.run(3);
  assert.equal(readsAtOnce(cluster, 1), false);
  assert.ok(!cluster.transcript.some((line) => line.includes("lease=")));
});

test("the lease ends by the clock, although no tick came: a process that stood still finds it over", () => {
  const { cluster, time } = leased();
  time.now += E * LEASE_SHARE - 0.01;
  assert.equal(readsAtOnce(cluster, 1), true);
  time.now += 0.01;
  assert.equal(readsAtOnce(cluster, 2), false);
});

test("what the clock may have missed ends the lease, too", () => {
  const time = new Time();
  let missed = 0;
  const leaseReads = { elapsedTicks: () => time.now, elapsedTicksMax: () => time.now + missed };
  const cluster = new TestCluster([1, 2, 3], { tuning: { leaseReads } });
  time.now += E;
  cluster.elect(1);
  time.run(cluster, 1);
  assert.equal(readsAtOnce(cluster, 1), true);
  missed = 50;
  assert.equal(readsAtOnce(cluster, 2), false);
  cluster.settle();
  time.run(cluster, 1);
  assert.equal(readsAtOnce(cluster, 3), true, "the next round renews it");
});

test("an answer counts from when its heartbeat was sent, however late it comes", () => {
  const { cluster, time } = leased();
  cluster.core(1).tick();
  const heartbeats = cluster.member(1).drain();
  time.now += 7;
  cluster.wire.push(...heartbeats);
  cluster.settle();
  time.now += 0.6;
  assert.equal(readsAtOnce(cluster, 1), false);
});

test("a lease needs a majority: one promise of two is not enough, nor is a learner's", () => {
  const time = new Time();
  const cluster = new TestCluster([1, 2, 3, 4], { learners: [5], tuning: time.tuning });
  time.now += E;
  cluster.elect(1);
  cluster.isolate(3);
  cluster.isolate(4);
  time.run(cluster, 8);
  assert.equal(readsAtOnce(cluster, 1), false);
});

test("who promised neither votes nor campaigns, whatever breaks or comes, until the time is over", () => {
  const { cluster, time } = leased();
  const member = cluster.member(2);
  member.core.connectionLost(1);
  for (let tick = 0; tick < 5; tick++) member.core.tick();
  member.core.campaign();
  assert.deepEqual([member.core.status().role, member.drain()], ["follower", []], "the hint waits");
  // A higher term makes it forget its leader, not its promise.
  member.core.step(message(MessageKind.APPEND_RESPONSE, 3, 8, { to: 2 }));
  assert.deepEqual([member.core.status().term, member.core.status().leader], [8, 0]);
  assert.equal(voteOf(member, 8), "none");
  assert.equal(voteOf(member, 9), "none");
  assert.equal(voteOf(member, 9, { pre: true }), "none");
  assert.equal(member.core.status().term, 8);
  time.now += E;
  assert.equal(voteOf(member, 9), "granted");
});

test("the hint that waited for the promise leads to an election right after it", () => {
  const { cluster, time } = leased();
  cluster.members.delete(1);
  for (const id of [2, 3]) cluster.core(id).connectionLost(1);
  time.run(cluster, E - 1);
  assert.equal(cluster.leader(), undefined);
  time.run(cluster, 6);
  assert.notEqual(cluster.leader(), undefined);
});

test("a restarted member has forgotten what it promised, and holds its vote for an election timeout", () => {
  const time = new Time();
  const member = new TestMember(2, new MemoryLog(membershipOf([1, 2, 3])), time.tuning);
  assert.equal(voteOf(member, 4), "none");
  member.core.campaign();
  assert.equal(member.core.status().role, "follower");
  time.now += E;
  assert.equal(voteOf(member, 4), "granted");
});

test("a member that had lease reads in its last life holds its vote, but promises nothing more", () => {
  const time = new Time();
  const log = new MemoryLog(membershipOf([1, 2, 3]));
  const leaseReads = { elapsedTicks: () => time.now, retiring: true };
  const member = new TestMember(2, log, { leaseReads });
  assert.equal(voteOf(member, 4), "none");
  member.core.step(message(MessageKind.HEARTBEAT, 1, 4, { to: 2, lease: 55 }));
  assert.ok(member.drain().some(({ kind, lease }) => kind === MessageKind.HEARTBEAT_RESPONSE && lease === 0));
});

test("mixed members: who has not the option does not promise, and so is not counted on", () => {
  const time = new Time();
  const cluster = new TestCluster([], {});
  const membership = membershipOf([1, 2, 3]);
  cluster.start(1, new MemoryLog(membership), time.tuning);
  for (const id of [2, 3]) cluster.start(id, new MemoryLog(membership), {});
  time.now += E;
  cluster.elect(1);
  time.run(cluster, 3);
  assert.equal(readsAtOnce(cluster, 1), false);
});

test("a transfer ends the lease first, and for the whole term, also when it fails", () => {
  const { cluster, time } = leased();
  cluster.isolate(3);
  cluster.core(1).transferLeadership(3);
  assert.equal(readsAtOnce(cluster, 1), false);
  cluster.settle();
  time.run(cluster, 12);
  assert.equal(cluster.leader(), 1, "given up");
  assert.equal(readsAtOnce(cluster, 2), false, "TIMEOUT_NOW may still arrive");
  cluster.heal();
  time.run(cluster, 2);
  cluster.core(1).transferLeadership(2);
  cluster.settle();
  assert.equal(cluster.leader(), 2, "the votes of a transfer are given in spite of promises");
  time.run(cluster, 2);
  cluster.core(2).readIndex(3);
  cluster.member(2).drain();
  assert.ok(
    cluster.member(2).reads.some(({ context }) => context === 3),
    "the next term has a lease again",
  );
});

test("a host that tells a voter to campaign past the core ends the lease, too", () => {
  const { cluster, time } = leased();
  cluster.core(1).forfeitLease();
  assert.equal(readsAtOnce(cluster, 1), false);
  cluster.settle();
  time.run(cluster, 2);
  assert.equal(readsAtOnce(cluster, 2), false);
});

test("a new leader answers nothing by lease before it has committed in its term (paper 8)", () => {
  const time = new Time();
  const log = new MemoryLog(membershipOf([1, 2, 3]));
  log.append(entries(1, [1, 1]));
  log.setHardState({ term: 1, vote: 0, commit: 1 });
  const member = new TestMember(1, log, time.tuning);
  time.now += E;
  member.core.campaign();
  member.core.step(message(MessageKind.PRE_VOTE_RESPONSE, 2, 2));
  member.core.step(message(MessageKind.VOTE_RESPONSE, 2, 2));
  member.core.tick();
  const heartbeat = member.drain().find(({ kind, lease }) => kind === MessageKind.HEARTBEAT && lease > 0);
  assert.ok(heartbeat !== undefined);
  member.core.step(message(MessageKind.HEARTBEAT_RESPONSE, 2, 2, { lease: heartbeat.lease }));
  member.core.readIndex(5);
  member.drain();
  assert.deepEqual(member.reads, []);
  member.core.step(message(MessageKind.APPEND_RESPONSE, 2, 2, { index: 3 }));
  member.drain();
  assert.deepEqual(member.reads, [{ context: 5, index: 3 }]);
});

test("a promise for a time that has not come is nobody's honest answer", () => {
  const { cluster, time } = leased();
  time.now += E;
  for (const from of [2, 3]) {
    const lease = (time.now + 1) * 1000;
    cluster.core(1).step(message(MessageKind.HEARTBEAT_RESPONSE, from, 1, { lease }));
  }
  assert.equal(readsAtOnce(cluster, 1), false);
});

test("clocks that differ by a third in rate do not let a lease outlive the promises", () => {
  // While the leader's slow clock measures the lease, a follower's fast one measures the promise.
  const [slow, fast] = [1 - 1 / 7, 1 + 1 / 7];
  assert.ok((E * LEASE_SHARE) / slow <= E / fast + 1e-9);
});
