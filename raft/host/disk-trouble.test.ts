/** What a full, failing or slow disk does to a member, and to its cluster. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { messageOf } from "../../base/errors/errors.js";
import { Cluster, type Member, word } from "../../test/support/raft-hosts.js";

function leadersBut(cluster: Cluster, old: Member): Member | undefined {
  return cluster.others(old).find(({ node }) => node.status().role === "leader");
}

async function write(cluster: Cluster, member: Member, text: string): Promise<void> {
  await cluster.during(member.node.propose(word(text)));
}

const ENOSPC = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });

test("a leader whose sync hangs is followed by another before the election timeout, and comes back", async () => {
  const cluster = await Cluster.ofThree();
  const old = cluster.leader;
  await write(cluster, old, "before");
  const release = old.media.disk.hang();
  const stuck = old.node.propose(word("stuck")).catch((error: unknown) => messageOf(error));
  const ticks = await cluster.until("another leads", () => leadersBut(cluster, old) !== undefined, 12);
  assert.ok(ticks <= 10, `within the shortest election timeout, took ${ticks} ticks`);
  const next = leadersBut(cluster, old);
  assert.ok(next);
  await write(cluster, next, "meanwhile");
  await cluster.tick(3);
  assert.match(old.node.status().trouble ?? "", /sync has been running for \d/);
  assert.notEqual(old.node.status().role, "leader");
  assert.match(String(await cluster.during(stuck)), /may have been made/);
  release();
  await cluster.until("the old one has it all", () => old.machine.text.endsWith("meanwhile"));
  assert.match(old.node.status().trouble ?? "", /sync takes \d/);
  for (let i = 0; i < 4; i++) await write(cluster, next, `after ${i}`);
  await cluster.until("its trouble is over", () => old.node.status().trouble === undefined);
  assert.deepEqual(
    [...cluster.members.values()].flatMap(({ stopped }) => stopped),
    [],
  );
  await cluster.close();
});

test("a follower whose sync hangs does not keep the others waiting", async () => {
  const cluster = await Cluster.ofThree();
  const leader = cluster.leader;
  const [slow] = cluster.others(leader);
  assert.ok(slow);
  const release = slow.media.disk.hang();
  for (let i = 0; i < 5; i++) await write(cluster, leader, `w${i}`);
  await cluster.tick(15);
  assert.match(slow.node.status().trouble ?? "", /sync has been running/);
  assert.equal(cluster.leader, leader);
  release();
  await cluster.until("it has caught up", () => slow.machine.text === leader.machine.text);
  await cluster.close();
});

for (const code of ["ENOSPC", "EIO", "EROFS"] as const) {
  test(`a leader whose log fails with ${code} says why, and a successor leads within two ticks`, async () => {
    const cluster = await Cluster.ofThree();
    const old = cluster.leader;
    await write(cluster, old, "before");
    old.media.disk.failing = code;
    const refused = old.node.propose(word("lost")).catch((error: unknown) => messageOf(error));
    const ticks = await cluster.until("another leads", () => leadersBut(cluster, old) !== undefined);
    assert.ok(ticks <= 2, `took ${ticks} ticks`);
    assert.match(String(await cluster.during(refused)), new RegExp(code));
    await cluster.until("it was told", () => old.stopped.length === 1);
    assert.match(messageOf(old.stopped[0]), new RegExp(`raft log cannot be written: ${code}`));
    assert.match(old.node.status().trouble ?? "", new RegExp(code));
    await old.node.close();
    old.media.disk.failing = undefined;
    const again = await cluster.open(old.name, { kind: "restart" }, old.media);
    const next = leadersBut(cluster, again);
    assert.ok(next);
    await write(cluster, next, "after");
    await cluster.until("it takes part again", () => again.machine.text === next.machine.text);
    await cluster.close();
  });
}

test("a leader whose log gets no more room hands over while it still works, and no write fails", async () => {
  const cluster = await Cluster.ofThree();
  const old = cluster.leader;
  old.media.disk.capacityBytes = old.media.disk.usedBytes;
  let next: Member | undefined;
  for (let i = 0; i < 40 && next === undefined; i++) {
    await write(cluster, old, `${i} ${"x".repeat(1_000)}`);
    await cluster.tick(2);
    next = leadersBut(cluster, old);
  }
  assert.ok(next, "another leads");
  assert.match(old.node.status().trouble ?? "", /cannot be given more room: ENOSPC/);
  assert.deepEqual(old.stopped, []);
  old.media.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await cluster.until("its trouble is over", () => old.node.status().trouble === undefined);
  await cluster.close();
});

test("a member whose state cannot be written goes on, compacts nothing, and makes up for it", async () => {
  const cluster = await Cluster.ofThree({ snapshotInterval: 50 });
  const leader = cluster.leader;
  const [member] = cluster.others(leader);
  assert.ok(member);
  member.media.folder.failing = ENOSPC;
  const before = member.media.folder.meta.index;
  for (let i = 0; i < 120; i++) await write(cluster, leader, `w${i}`);
  await cluster.until("it has them all", () => member.machine.text === leader.machine.text);
  await cluster.tick(5);
  assert.match(member.node.status().trouble ?? "", /state cannot be written: ENOSPC/);
  assert.equal(member.media.folder.meta.index, before);
  assert.deepEqual(member.stopped, []);
  member.media.folder.failing = undefined;
  await cluster.until("its trouble is over", () => member.node.status().trouble === undefined, 200);
  assert.equal(member.media.folder.meta.index, member.node.status().appliedIndex);
  await cluster.close();
});
