import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { Cluster, type Member, word } from "../../test/support/raft-hosts.js";

const STEPS = 60;

/** Crashes, cuts and writes at random; then everything heals, and nothing acknowledged may be missing. */
async function storm(seed: number): Promise<void> {
  const random = new SeededRandom(`storm/${seed}`);
  const cluster = await Cluster.ofThree({ seed, snapshotInterval: 550 });
  const acknowledged: string[] = [];
  const down = new Map<string, Member["media"]>();
  const cuts: [number, number][] = [];
  let next = 0;
  const propose = (member: Member, count: number): void => {
    for (let i = 0; i < count; i++) {
      const text = `w${next++}`;
      member.node.propose(word(text)).then(
        () => acknowledged.push(text),
        () => undefined, // refused or lost: its fate is free
      );
    }
  };
  const heal = (): void => {
    for (const [a, b] of cuts.splice(0)) cluster.network.setCut(a, b, false);
  };
  for (let step = 0; step < STEPS; step++) {
    const up = [...cluster.members.values()];
    const one = up[random.int(0, up.length)];
    const other = up[random.int(0, up.length)];
    const dice = random.int(0, 10);
    if (dice < 5 && one !== undefined) propose(one, random.int(1, 120));
    else if (dice === 5 && one !== undefined && down.size === 0) down.set(one.name, cluster.crash(one));
    else if (dice === 6 || dice === 7) {
      for (const [name, media] of down) await cluster.open(name, { kind: "restart" }, media);
      down.clear();
    } else if (dice === 8 && one !== undefined && other !== undefined && one !== other) {
      cuts.push([one.node.raftId, other.node.raftId]);
      cluster.network.setCut(one.node.raftId, other.node.raftId, true);
    } else heal();
    await cluster.tick(random.int(0, 4));
  }
  heal();
  for (const [name, media] of down) await cluster.open(name, { kind: "restart" }, media);
  const members = [...cluster.members.values()];
  const leads = (member: Member): boolean => member.node.status().role === "leader";
  await cluster.until(`seed ${seed}: a leader`, () => members.some(leads));
  const last = `last${seed}`;
  await cluster.until(`seed ${seed}: a write goes through`, () => {
    const leader = members.find(leads);
    if (leader !== undefined)
      leader.node.propose(word(last)).then(
        () => acknowledged.push(last),
        () => undefined,
      );
    return acknowledged.includes(last);
  });
  await cluster.until(
    `seed ${seed}: all agree`,
    () => new Set(members.map(({ machine }) => machine.text)).size === 1,
  );
  const held = new Set(members[0]?.machine.words.values());
  assert.deepEqual(
    acknowledged.filter((text) => !held.has(text)),
    [],
    `seed ${seed} lost acknowledged words`,
  );
  assert.deepEqual(
    members.flatMap(({ stopped }) => stopped),
    [],
    `seed ${seed}: a node stopped by itself`,
  );
  await cluster.close();
}

for (let seed = 1; seed <= 8; seed++) {
  test(`after crashes, torn writes and cuts members agree, and nothing acknowledged is lost (seed ${seed})`, () =>
    storm(seed));
}
