import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster, type Member, word } from "../../test/support/raft-hosts.js";
import { readDataKeyRing } from "../storage/data-key-ring.js";

/** Ids of the data keys in a member's ring, of those that ever were. */
async function keysOf({ media }: Member, highest: number): Promise<number[]> {
  const ring = await readDataKeyRing(media.disk, []);
  return Array.from({ length: highest }, (_, i) => i + 1).filter((id) => {
    try {
      return ring.key(id).length > 0;
    } catch {
      return false; // forgotten
    }
  });
}

async function untilKeys(cluster: Cluster, member: Member, ids: readonly number[]): Promise<void> {
  let found: number[] = [];
  for (let ticks = 0; ticks < 200 && found.join() !== ids.join(); ticks++) {
    await cluster.tick();
    found = await keysOf(member, 9);
  }
  assert.deepEqual(found, ids, member.name);
}

test("keys rotate on three members beside writes; a lagging and a restarted one lose nothing", async () => {
  for (let seed = 1; seed <= 4; seed++) await rotateEverywhere(await Cluster.ofThree({ seed }));
});

async function rotateEverywhere(cluster: Cluster): Promise<void> {
  const { leader } = cluster;
  const [lagging, crashing] = cluster.others(leader);
  assert.ok(lagging !== undefined && crashing !== undefined);
  let written = 0;
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await cluster.during(leader.node.propose(word(`w${written++}`)));
  };
  const members = (): Member[] => [...cluster.members.values()];
  const rotate = (epoch: number): Promise<unknown> =>
    cluster.during(Promise.all(members().map(({ node }) => node.rotateDataKey(epoch))));

  await rotate(1); // adopted
  await write(30);
  const media = cluster.crash(lagging);
  const rotated = rotate(2);
  await write(30);
  await rotated;
  for (const member of members()) await untilKeys(cluster, member, [2]);

  // The leader's disk does not hold what the lagging one misses; its memory does, so it needs no snapshot.
  const back = await cluster.open(lagging.name, { kind: "restart" }, media);
  await cluster.until("the lagging one catches up", () => back.machine.text === leader.machine.text);
  await rotate(2);
  await untilKeys(cluster, back, [2]);

  // The new key is made; what was sealed before has not followed when the process dies.
  await crashing.node.rotateDataKey(3);
  const restarted = await cluster.open(crashing.name, { kind: "restart" }, cluster.crash(crashing));
  await write(5);
  await cluster.until("the restarted one catches up", () => restarted.machine.text === leader.machine.text);
  await untilKeys(cluster, restarted, [3]);
  assert.equal(leader.machine.text.split(" ").length, 65);
  await cluster.close();
}
