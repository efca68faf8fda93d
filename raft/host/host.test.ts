import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import {
  FailedPreconditionError,
  InvalidArgumentError,
  NotLeaderError,
  UnavailableError,
} from "../../base/errors/errors.js";
import { Cluster, turns, word } from "../../test/support/raft-hosts.js";
import type { RaftId } from "../core/types.js";
import { MemoryDisk } from "../storage/memory-disk.js";
import { emptyStateFolder } from "../storage/memory-state.js";

const clusters: Cluster[] = [];

function opened(cluster: Cluster): Cluster {
  clusters.push(cluster);
  return cluster;
}

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.close();
});

test("a founder leads alone at once, and applies what is proposed in one turn in order", async () => {
  const cluster = opened(new Cluster());
  const { node, machine } = await cluster.open("a", { kind: "bootstrap" });
  assert.equal(await cluster.until("leads", () => node.status().role === "leader"), 0);
  const results = await Promise.all(["one", "two", "three"].map((text) => node.propose(word(text))));
  assert.deepEqual(
    results.map(({ index }) => index - (results[0]?.index ?? 0)),
    [0, 1, 2],
  );
  assert.equal(machine.text, "one two three");
  assert.deepEqual(node.status().leaderMember?.address, "a:2377");
});

test("joining members are learners first, then voters, and hold what was proposed before", async () => {
  const cluster = opened(await Cluster.ofThree());
  await cluster.leader.node.propose(word("hello"));
  await cluster.until("all applied", () =>
    [...cluster.members.values()].every((m) => m.machine.text === "hello"),
  );
  const { members } = cluster.leader.node.status().membership;
  assert.deepEqual(members.map(({ nodeId, learner }) => `${nodeId}${learner ? "?" : ""}`).sort(), [
    "a",
    "b",
    "c",
  ]);
});

test("a follower refuses proposals and names the leader; its read barrier sees acknowledged writes", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [follower] = cluster.others(leader);
  assert.ok(follower);
  await assert.rejects(follower.node.propose(word("x")), (error: unknown) => {
    assert.ok(error instanceof NotLeaderError);
    assert.equal(error.leaderAddress, `${leader.name}:2377`);
    return true;
  });
  const { index } = await leader.node.propose(word("seen"));
  assert.ok((await cluster.during(follower.node.readBarrier())) >= index);
  assert.equal(follower.machine.text, "seen");
});

test("a read barrier without a quorum fails after a bound; one without a leader yet waits for it", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [b, c] = cluster.others(leader);
  assert.ok(b && c);
  const { index } = await leader.node.propose(word("kept"));
  cluster.crash(leader);
  const barrier = b.node.readBarrier();
  assert.ok((await cluster.during(barrier)) >= index);
  cluster.crash(c);
  await assert.rejects(cluster.during(b.node.readBarrier()), UnavailableError);
});

test("when the leader's process dies a survivor leads within 3 ticks, and nothing acknowledged is lost", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  await leader.node.propose(word("kept"));
  const survivors = cluster.others(leader);
  cluster.crash(leader);
  const ticks = await cluster.until("a survivor leads", () =>
    survivors.some(({ node }) => node.status().role === "leader"),
  );
  assert.ok(ticks <= 3, `${ticks} ticks`);
  await cluster.during(cluster.leader.node.propose(word("on")));
  assert.equal(cluster.leader.machine.text, "kept on");
});

test("a leader cut off says of waiting proposals that their fate is unknown, and yields to the others", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [b, c] = cluster.others(leader);
  assert.ok(b && c);
  for (const other of [b, c]) cluster.network.setCut(leader.node.raftId, other.node.raftId, true);
  const lost = leader.node.propose(word("lost"));
  await assert.rejects(cluster.during(lost), (error: unknown) => {
    // not-leader would mean: certainly not done, so that others repeat it
    assert.ok(error instanceof UnavailableError);
    assert.match(error.message, /may have been made, or not/);
    return true;
  });
  await assert.rejects(leader.node.propose(word("late")), NotLeaderError);
  await cluster.until("others elect", () => cluster.leader !== leader);
  await cluster.during(cluster.leader.node.propose(word("won")));
  for (const other of [b, c]) cluster.network.setCut(leader.node.raftId, other.node.raftId, false);
  await cluster.until("the old leader follows", () => leader.machine.text === "won");
});

test("a member killed in the middle comes back from its disk and catches up", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [victim] = cluster.others(leader);
  assert.ok(victim);
  for (let i = 0; i < 20; i++) await leader.node.propose(word(`w${i}`));
  const media = cluster.crash(victim);
  for (let i = 20; i < 40; i++) await leader.node.propose(word(`w${i}`));
  const back = await cluster.open(victim.name, { kind: "restart" }, media);
  assert.equal(back.node.raftId, victim.node.raftId);
  await cluster.until("caught up", () => back.machine.text === leader.machine.text);
});

test("a whole cluster restarted from disk keeps every acknowledged word", async () => {
  const cluster = opened(await Cluster.ofThree());
  for (let i = 0; i < 10; i++) await cluster.leader.node.propose(word(`w${i}`));
  const expected = cluster.leader.machine.text;
  const media = [...cluster.members.values()].map((member) => ({
    name: member.name,
    media: cluster.crash(member),
  }));
  for (const each of media) await cluster.open(each.name, { kind: "restart" }, each.media);
  await cluster.until("all agree", () =>
    [...cluster.members.values()].every((m) => m.machine.text === expected),
  );
});

test("a member too far behind gets a snapshot, and the log of the leader stays short", async () => {
  const cluster = opened(await Cluster.ofThree({ snapshotInterval: 600 }));
  const { leader } = cluster;
  const [victim] = cluster.others(leader);
  assert.ok(victim);
  const media = cluster.crash(victim);
  for (let i = 0; i < 30; i++) {
    await Promise.all(Array.from({ length: 50 }, (_, k) => leader.node.propose(word(`w${i}.${k}`))));
    await cluster.tick();
  }
  const back = await cluster.open(victim.name, { kind: "restart" }, media);
  await cluster.until("caught up", () => back.machine.text === leader.machine.text);
  assert.ok(back.machine.applied.length < 1500, "most came by snapshot");
  await cluster.during(leader.node.propose(word("after")));
  await cluster.until("goes on", () => back.machine.text.endsWith("after"));
  const again = await cluster.open(back.name, { kind: "restart" }, cluster.crash(back));
  await cluster.until("restarts from the snapshot", () => again.machine.text === leader.machine.text);
});

test("closing the leader hands over first", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const term = leader.node.status().term;
  await cluster.during(leader.node.close());
  cluster.members.delete(leader.name);
  const next = cluster.leader;
  assert.ok(next.node.status().term > term);
  await assert.rejects(leader.node.propose(word("late")), (error: unknown) => {
    assert.ok(error instanceof NotLeaderError, "certainly not done");
    assert.equal(error.leaderAddress, `${next.name}:2377`);
    return true;
  });
  await leader.node.close();
});

/**
 * Writes one word after the other through whoever leads, as the gate does: only "not leader" is tried again.
 */
async function writeOn(cluster: Cluster, name: string, stop: () => boolean): Promise<string[]> {
  const written: string[] = [];
  while (!stop()) {
    const text = `${name}.${written.length}`;
    for (;;) {
      const leader = [...cluster.members.values()].find(({ node }) => node.status().role === "leader");
      try {
        await (leader?.node.propose(word(text)) ?? Promise.reject(new NotLeaderError("none")));
        break;
      } catch (error) {
        if (!(error instanceof NotLeaderError)) throw error;
        await turns();
      }
    }
    written.push(text);
    await turns(); // over memory nothing takes a turn by itself
  }
  return written;
}

for (const how of ["transfer", "close"] as const) {
  test(`a hand-over by ${how} under writes fails none of them and repeats none`, async () => {
    const cluster = opened(await Cluster.ofThree());
    const { leader } = cluster;
    let over = false;
    const writers = Array.from({ length: 8 }, (_, k) => writeOn(cluster, `w${k}`, () => over));
    await turns();
    const from = leader.node.status().term;
    if (how === "transfer") await cluster.during(leader.node.transferLeadership());
    else {
      await cluster.during(leader.node.close());
      cluster.members.delete(leader.name);
    }
    assert.notEqual(cluster.leader, leader);
    assert.equal(cluster.leader.node.status().term, from + 1);
    await cluster.tick();
    over = true;
    const written = (await cluster.during(Promise.all(writers))).flat().sort();
    await cluster.during(cluster.leader.node.readBarrier());
    assert.deepEqual([...cluster.leader.machine.words.values()].sort(), written);
  });
}

test("a deposed leader answers its proposers once it hears what the next leader committed", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [b, c] = cluster.others(leader);
  assert.ok(b && c);
  const { network } = cluster;
  const cut = (isCut: boolean): void => {
    for (const other of [b, c]) network.setCut(leader.node.raftId, other.node.raftId, isCut);
  };
  cut(true);
  const outcomes: string[] = [];
  const lost = leader.node.propose(word("lost")).then(
    () => outcomes.push("done"),
    (error: unknown) => outcomes.push(error instanceof NotLeaderError ? "not done" : "unknown"),
  );
  await cluster.until("another leads", () => [b, c].some(({ node }) => node.status().role === "leader"));
  await cluster.until("the old one noticed", () => leader.node.status().role !== "leader");
  assert.deepEqual(outcomes, []);
  cut(false);
  await cluster.during(lost);
  assert.deepEqual(outcomes, ["not done"]);
});

test("a successor that answers is preferred to one that stands still", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [b, c] = cluster.others(leader).sort((x, y) => x.node.raftId - y.node.raftId);
  assert.ok(b && c);
  await cluster.tick(3);
  cluster.network.setSilent(b.node.raftId, true);
  await cluster.tick(4);
  await cluster.during(leader.node.transferLeadership());
  assert.equal(cluster.leader, c);
});

test("a successor that stops answering in the very moment is replaced by another", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [b, c] = cluster.others(leader).sort((x, y) => x.node.raftId - y.node.raftId);
  assert.ok(b && c);
  await cluster.tick(3);
  cluster.network.setSilent(b.node.raftId, true); // the first choice among equals
  await cluster.during(leader.node.transferLeadership());
  assert.equal(cluster.leader, c);
});

test("removing members keeps a quorum, tells the removed, and is refused where none would be left", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [b, c] = cluster.others(leader);
  assert.ok(b && c);
  const { raftId } = c.node;
  cluster.crash(c);
  await assert.rejects(cluster.during(leader.node.removeMember(b.node.raftId)), FailedPreconditionError);
  await cluster.during(leader.node.removeMember(raftId));
  await cluster.during(leader.node.removeMember(raftId)); // idempotent
  assert.deepEqual(leader.node.status().membership.removed, [raftId]);
  await assert.rejects(cluster.during(leader.node.removeMember(leader.node.raftId)), NotLeaderError);
  assert.equal(cluster.leader, b);
  await cluster.during(b.node.removeMember(leader.node.raftId));
  await cluster.until("the removed one knows", () => leader.refused.length > 0);
  await assert.rejects(cluster.during(b.node.removeMember(b.node.raftId)), FailedPreconditionError);
  await cluster.during(b.node.propose(word("alone")));
});

test("a voter that joins again without its log is a new member, and the old one may never vote again", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [b] = cluster.others(leader);
  assert.ok(b);
  await cluster.during(leader.node.propose(word("acknowledged")));
  cluster.crash(b);
  const back = await cluster.join(b.name, leader);
  assert.notEqual(back.node.raftId, b.node.raftId);
  assert.deepEqual(leader.node.status().membership.removed, [b.node.raftId]);
  await cluster.until("it has the log again", () => back.machine.text === "acknowledged");
});

test("a learner that has acknowledged something and joins again begins anew, too", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const reply = await cluster.during(leader.node.addMember({ nodeId: "d", address: "d:2377" }));
  const d = await cluster.open("d", { kind: "join", ...reply });
  await cluster.until("it has acknowledged", () =>
    leader.node.status().progress.some(({ raftId, match }) => raftId === d.node.raftId && match > 0),
  );
  cluster.crash(d);
  const back = await cluster.join("d", leader);
  assert.notEqual(back.node.raftId, d.node.raftId);
});

test("a full disk stops the node with its reason; opened again with room it goes on", async () => {
  const cluster = opened(new Cluster());
  const media = { disk: new MemoryDisk(), folder: emptyStateFolder() };
  const member = await cluster.open("a", { kind: "bootstrap" }, media);
  await cluster.until("leads", () => member.node.status().role === "leader");
  media.disk.capacityBytes = media.disk.usedBytes;
  let kept = 0;
  const error = await (async () => {
    for (;;) {
      try {
        await member.node.propose(word("x".repeat(5000)));
        kept += 1;
      } catch (failure) {
        return failure;
      }
    }
  })();
  assert.ok(error instanceof UnavailableError);
  assert.match(error.message, /no space left on device/);
  await assert.rejects(member.node.propose(word("y")), /no space left/);
  await assert.rejects(member.node.readBarrier(), UnavailableError);
  await turns();
  assert.equal(member.stopped.length, 1);
  assert.equal(member.node.status().leader, 0);
  await member.node.close();
  media.disk.capacityBytes = Number.POSITIVE_INFINITY;
  const again = await cluster.open("a", { kind: "restart" }, media);
  await cluster.until("leads again", () => again.node.status().role === "leader");
  await again.node.propose(word("z"));
  assert.equal(again.machine.words.size, kept + 1);
});

test("proposals that are empty or too large are refused, and a signal ends the waiting", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { node } = cluster.leader;
  await assert.rejects(node.propose(new Uint8Array(0)), InvalidArgumentError);
  await assert.rejects(node.propose(new Uint8Array(64 * 1024)), InvalidArgumentError);
  await assert.rejects(node.propose(word("x"), { signal: AbortSignal.abort() }), { code: "cancelled" });
});

test("a folder of another node or cluster is refused, and so is a restart of nothing", async () => {
  const cluster = opened(new Cluster());
  const media = { disk: new MemoryDisk(), folder: emptyStateFolder() };
  await assert.rejects(cluster.open("a", { kind: "restart" }, media), FailedPreconditionError);
  const { node } = await cluster.open("a", { kind: "bootstrap" }, media);
  await node.close();
  await assert.rejects(cluster.open("b", { kind: "restart" }, media), /belongs to node a/);
});

test("leadership and membership listeners hear the present at once and every change", async () => {
  const cluster = opened(await Cluster.ofThree());
  const { leader } = cluster;
  const [b] = cluster.others(leader);
  assert.ok(b);
  const heard: (RaftId | undefined)[] = [];
  const unsubscribe = b.node.onLeadership(({ leader: who }) => heard.push(who?.raftId));
  await cluster.during(leader.node.transferLeadership({ to: b.node.raftId }));
  assert.equal(heard[0], leader.node.raftId);
  assert.equal(heard.at(-1), b.node.raftId);
  unsubscribe();
  const sizes: number[] = [];
  b.node.onMembership((members) => sizes.push(members.length));
  await cluster.join("d", b);
  assert.deepEqual([sizes[0], sizes.at(-1)], [3, 4]);
});
