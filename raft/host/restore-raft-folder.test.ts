import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/log/logger.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { Cluster, turns, word } from "../../test/support/raft-hosts.js";
import { MemoryDisk } from "../storage/memory-disk.js";
import {
  emptyStateFolder,
  folderAfter,
  MemoryState,
  type MemoryStateFolder,
} from "../storage/memory-state.js";
import { loadMemberIdentity, type MemberIdentity } from "./member-identity.js";
import type { KeyValuePair } from "./raft-node.js";
import { restoreRaftFolder } from "./restore-raft-folder.js";

const POINT = { index: 2 ** 47 + 5, term: 9 };
const PAIRS: readonly KeyValuePair[] = ["one", "two", "three", "four"].map((text, i) => ({
  key: String(i).padStart(8, "0"),
  value: word(text),
}));

interface Media {
  readonly disk: MemoryDisk;
  readonly folder: MemoryStateFolder;
}

async function* inTwos(pairs: readonly KeyValuePair[]): AsyncGenerator<readonly KeyValuePair[]> {
  for (let at = 0; at < pairs.length; at += 2) yield pairs.slice(at, at + 2);
}

function restore(media: Media, portions = inTwos(PAIRS)): Promise<MemberIdentity> {
  return restoreRaftFolder({
    dir: "",
    clusterId: "c1",
    nodeId: "new",
    address: "new:2377",
    point: POINT,
    removed: [11, 12, 13],
    portions,
    random: new SeededRandom("restore"),
    log: silentLogger,
    segmentBytes: 64 * 1024,
    media: { disk: media.disk, openState: async () => new MemoryState(media.folder) },
  });
}

async function assertLeads(media: Media): Promise<void> {
  const cluster = new Cluster("restored");
  const member = await cluster.open("new", { kind: "restart" }, media);
  await cluster.until("it leads", () => member.node.status().role === "leader");
  assert.equal(member.machine.text, "one two three four");
  const { index, term } = await cluster.during(member.node.propose(word("five")));
  assert.ok(index > POINT.index && term > POINT.term, `${index} in term ${term}`);
  const { members, removed } = member.node.status().membership;
  assert.deepEqual(members, [
    { raftId: member.node.raftId, nodeId: "new", address: "new:2377", learner: false },
  ]);
  assert.deepEqual(removed, [11, 12, 13]);
  const second = await cluster.join("second", member);
  await cluster.until("the state is there, too", () => second.machine.text === "one two three four five");
  await cluster.close();
}

test("a restored folder holds a sole voter that leads above its point, and takes others in", async () => {
  const media: Media = { disk: new MemoryDisk(), folder: emptyStateFolder() };
  const identity = await restore(media);
  assert.deepEqual([identity.clusterId, identity.nodeId, identity.founder], ["c1", "new", false]);
  await assertLeads(media);
});

test("what a follower exports is everything acknowledged before, frozen, and founds another cluster", async () => {
  const cluster = await Cluster.ofThree();
  for (const text of ["one", "two", "three", "four"])
    await cluster.during(cluster.leader.node.propose(word(text)));
  const [follower] = cluster.others(cluster.leader);
  assert.ok(follower);
  await cluster.during(follower.node.readBarrier());
  const state = await cluster.during(follower.node.exportState());
  await cluster.during(cluster.leader.node.propose(word("later")));
  await cluster.tick(3);
  const pairs: KeyValuePair[] = [];
  for await (const portion of state.portions(20)) pairs.push(...portion);
  await state.close();
  assert.deepEqual(
    pairs.map(({ value }) => Buffer.from(value).toString()),
    ["one", "two", "three", "four"],
  );
  assert.equal(state.meta.membership?.members.length, 3);
  await cluster.close();
  await assert.rejects(follower.node.exportState(), { code: "unavailable" });
  const media: Media = { disk: new MemoryDisk(), folder: emptyStateFolder() };
  await restore(media, inTwos(pairs));
  await assertLeads(media);
});

test("a folder that holds a member is left as it is", async () => {
  const media: Media = { disk: new MemoryDisk(), folder: emptyStateFolder() };
  await restore(media);
  await assert.rejects(restore(media, inTwos([])), /holds a member already/);
  assert.equal(media.folder.pairs.size, 4);
});

test("a note of a log's repair that an earlier member left does no harm", async () => {
  for (const note of ["1 65536", "7 4096", "rot"]) {
    const media: Media = { disk: new MemoryDisk(), folder: emptyStateFolder() };
    await media.disk.replace("wal-repair", Buffer.from(note));
    await restore(media);
    assert.equal(await media.disk.read("wal-repair"), undefined);
    await assertLeads(media);
  }
});

test("a state that breaks off makes no member", async () => {
  const media: Media = { disk: new MemoryDisk(), folder: emptyStateFolder() };
  async function* broken(): AsyncGenerator<readonly KeyValuePair[]> {
    yield PAIRS.slice(0, 2);
    throw new Error("the backup is damaged");
  }
  await assert.rejects(restore(media, broken()), /the backup is damaged/);
  assert.equal(await loadMemberIdentity(media.disk), undefined);
  assert.equal(media.folder.meta.index, 0);
});

test("a crash at any write leaves no member, or the whole one", async () => {
  const ends = { none: 0, whole: 0 };
  for (let crashAt = 1; ; crashAt++) {
    let writes = 0;
    let dead = false;
    const latency = async (): Promise<void> => {
      writes += 1;
      if (writes !== crashAt) return;
      dead = true;
      await new Promise<never>(() => undefined);
    };
    const media: Media = { disk: new MemoryDisk({ latency }), folder: emptyStateFolder() };
    let done = false;
    restore(media).then(
      () => {
        done = true;
      },
      () => undefined, // a write that never answers fails nothing
    );
    while (!done && !dead) await turns();
    if (done) break; // there was no such write
    writes = Number.MAX_SAFE_INTEGER; // the next life's disk works
    const disk = media.disk.crash(new SeededRandom(crashAt));
    const after: Media = { disk, folder: folderAfter(media.folder, "power-cut") };
    if ((await loadMemberIdentity(after.disk)) === undefined) {
      ends.none += 1;
      await restore({ disk: new MemoryDisk(), folder: emptyStateFolder() }); // removed, then again
    } else {
      ends.whole += 1;
      await assertLeads(after);
    }
  }
  assert.ok(ends.none >= 3, `crashed at ${ends.none} writes`);
});

test("a full disk ends the restore, and no member is there", async () => {
  for (const capacityBytes of [10, 1000, 65_000, 65_650]) {
    const media: Media = { disk: new MemoryDisk({ capacityBytes }), folder: emptyStateFolder() };
    await assert.rejects(restore(media), /ENOSPC/);
    assert.equal(await loadMemberIdentity(media.disk), undefined);
  }
});
