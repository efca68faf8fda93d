import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster, type Member, word } from "../../test/support/raft-hosts.js";
import type { ForcedCluster } from "./force-new-cluster.js";

async function forced(
  cluster: Cluster,
  name: string,
  media: Member["media"],
): Promise<{ member: Member; account: ForcedCluster }> {
  let account: ForcedCluster | undefined;
  const onForced = (told: ForcedCluster): void => {
    account = told;
  };
  cluster.addresses.set(name, `${name}.new:2377`);
  const start = { kind: "force-new-cluster", onForced } as const;
  const member = await cluster.open(name, start, media);
  assert.ok(account);
  return { member, account };
}

test("force-new-cluster: one survivor of three goes on alone with all it holds, committed or not", async () => {
  const cluster = await Cluster.ofThree();
  const { leader } = cluster;
  await cluster.during(leader.node.propose(word("committed")));
  const { lastIndex } = leader.node.status();
  const others = cluster.others(leader);
  for (const other of others) cluster.crash(other);
  // Nobody but the survivor has it; it may have been on its way to others who acknowledged it.
  leader.node.propose(word("uncommitted")).then(
    () => assert.fail("there is no quorum"),
    () => undefined, // its fate is free
  );
  await cluster.tick();
  const media = cluster.crash(leader);
  const { member, account } = await forced(cluster, leader.name, media);
  await cluster.until("leads alone", () => member.node.status().role === "leader");
  const { membership } = member.node.status();
  assert.deepEqual(
    membership.members.map(({ nodeId, address }) => [nodeId, address]),
    [[leader.name, `${leader.name}.new:2377`]],
  );
  assert.deepEqual(
    membership.removed.toSorted((a, b) => a - b),
    others.map(({ node }) => node.raftId).toSorted((a, b) => a - b),
  );
  assert.deepEqual(account.dropped.map(({ nodeId }) => nodeId).sort(), others.map(({ name }) => name).sort());
  assert.ok(account.lastIndex > lastIndex, "the uncommitted entry counts");
  assert.ok(account.commitIndex >= lastIndex && account.commitIndex <= account.lastIndex);
  assert.equal(account.wasLearner, false);
  await cluster.during(member.node.propose(word("after")));
  assert.equal(member.machine.text, "committed uncommitted after");
  await cluster.close();
});

test("force-new-cluster: a crash right after it, and repeating it, change nothing", async () => {
  const cluster = await Cluster.ofThree({ snapshotInterval: 20 });
  const { leader } = cluster;
  for (let i = 0; i < 40; i++) await cluster.during(leader.node.propose(word(`w${i}`)));
  const text = leader.machine.text;
  const [one, two] = cluster.others(leader);
  assert.ok(one && two);
  await cluster.until("one has all", () => one.machine.text === text);
  cluster.crash(two);
  cluster.crash(leader);
  const media = cluster.crash(one);
  const first = await forced(cluster, one.name, media);
  const second = await forced(cluster, one.name, cluster.crash(first.member));
  assert.deepEqual(second.account.dropped, []);
  const back = await cluster.open(one.name, { kind: "restart" }, cluster.crash(second.member));
  await cluster.until("leads alone", () => back.node.status().role === "leader");
  assert.equal(back.machine.text, text);
  // and it grows again
  const joined = await cluster.join("d", back);
  await cluster.until("the newcomer has all", () => joined.machine.text === text);
  await cluster.close();
});

test("force-new-cluster: refused where the cluster's state never arrived, and in an empty folder", async () => {
  const cluster = await Cluster.ofThree();
  const { leader } = cluster;
  const reply = await cluster.during(leader.node.addMember({ nodeId: "d", address: "d:2377" }));
  for (const { node } of cluster.members.values()) cluster.network.setCut(node.raftId, reply.raftId, true);
  const newcomer = await cluster.open("d", { kind: "join", ...reply });
  const media = cluster.crash(newcomer);
  await assert.rejects(forced(cluster, "d", media), /has not received the cluster's state/);
  const { MemoryDisk } = await import("../storage/memory-disk.js");
  const { emptyStateFolder } = await import("../storage/memory-state.js");
  const empty = { disk: new MemoryDisk(), folder: emptyStateFolder() };
  await assert.rejects(forced(cluster, "e", empty), /no raft member to restart/);
  await cluster.close();
});
