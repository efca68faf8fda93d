/** Snapshots while links break, leaders fall, receivers die, logs are compacted and members removed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster, type Member, word } from "../../test/support/raft-hosts.js";

const WORDS = 900;
/** So that the state has several portions of 128 KiB. */
const WORD_BYTES = 1_000;

async function write(cluster: Cluster, member: Member, from: number, count: number): Promise<void> {
  const all = Array.from({ length: count }, (_, i) =>
    member.node.propose(word(`w${from + i} ${"x".repeat(WORD_BYTES)}`)),
  );
  await cluster.during(Promise.all(all));
}

interface Scene {
  readonly cluster: Cluster;
  readonly leader: Member;
  readonly name: string;
  readonly media: Member["media"];
  /** Portions that were on their way so far. */
  portions: number;
  /** Called at the third one. */
  interfere: () => Promise<void> | void;
}

/** Three members; one was down while the others compacted what it needs. */
async function behind(): Promise<Scene> {
  const cluster = await Cluster.ofThree({ snapshotInterval: 100 });
  const leader = cluster.leader;
  const [victim] = cluster.others(leader);
  assert.ok(victim);
  const media = cluster.crash(victim);
  for (let at = 0; at < WORDS; at += 100) {
    await write(cluster, leader, at, 100);
    await cluster.tick(3);
  }
  await cluster.tick(10);
  const scene: Scene = { cluster, leader, name: victim.name, media, portions: 0, interfere: () => undefined };
  cluster.network.beforePortion = async () => {
    scene.portions += 1;
    if (scene.portions === 3) await scene.interfere();
  };
  return scene;
}

async function agree({ cluster }: Scene): Promise<void> {
  await cluster.until(
    "all agree",
    () => new Set([...cluster.members.values()].map(({ machine }) => machine.text)).size === 1,
    300,
  );
  assert.deepEqual(
    [...cluster.members.values()].flatMap(({ stopped }) => stopped),
    [],
  );
}

/** Portions of the whole state, when nothing interferes. */
async function undisturbed(): Promise<number> {
  const scene = await behind();
  await scene.cluster.open(scene.name, { kind: "restart" }, scene.media);
  await agree(scene);
  await scene.cluster.close();
  return scene.portions;
}

test("a snapshot whose link breaks goes on where it was, though the state has moved on", async () => {
  const whole = await undisturbed();
  assert.ok(whole >= 5, `several portions, got ${whole}`);
  const scene = await behind();
  const { cluster, leader } = scene;
  const member = await cluster.open(scene.name, { kind: "restart" }, scene.media);
  scene.interfere = () => cluster.network.setCut(leader.node.raftId, member.node.raftId, true);
  await cluster.until("the link is cut", () => scene.portions >= 3);
  await cluster.tick(5);
  await write(cluster, leader, WORDS, 20);
  cluster.network.setCut(leader.node.raftId, member.node.raftId, false);
  await agree(scene);
  assert.equal(scene.portions, whole + 1, "only the portion that was lost came twice");
  await cluster.close();
});

test("a snapshot that is interrupted for longer than a minute begins anew", async () => {
  const whole = await undisturbed();
  const scene = await behind();
  const { cluster, leader } = scene;
  const member = await cluster.open(scene.name, { kind: "restart" }, scene.media);
  scene.interfere = () => cluster.network.setCut(leader.node.raftId, member.node.raftId, true);
  await cluster.until("the link is cut", () => scene.portions >= 3);
  await cluster.tick(620);
  cluster.network.setCut(leader.node.raftId, member.node.raftId, false);
  await agree(scene);
  assert.ok(scene.portions >= whole + 3, `all of it again, got ${scene.portions} of ${whole}`);
  await cluster.close();
});

test("a leader that dies while it sends a snapshot is followed by one that sends its own", async () => {
  const scene = await behind();
  const { cluster, leader } = scene;
  await cluster.open(scene.name, { kind: "restart" }, scene.media);
  let media: Member["media"] | undefined;
  scene.interfere = () => {
    media = cluster.crash(leader);
  };
  await cluster.until("the leader died", () => media !== undefined);
  await cluster.until("another leads", () =>
    [...cluster.members.values()].some(({ node }) => node.status().role === "leader"),
  );
  await agree(scene);
  if (media !== undefined) await cluster.open(leader.name, { kind: "restart" }, media);
  await write(cluster, cluster.leader, WORDS, 10);
  await agree(scene);
  await cluster.close();
});

test("leadership that moves while a snapshot is sent ends that; the new leader serves the receiver", async () => {
  const scene = await behind();
  const { cluster, leader } = scene;
  const member = await cluster.open(scene.name, { kind: "restart" }, scene.media);
  const other = cluster.others(leader).find((each) => each !== member);
  assert.ok(other);
  let moved: Promise<void> | undefined;
  scene.interfere = () => {
    moved = leader.node.transferLeadership({ to: other.node.raftId });
  };
  await cluster.until("the transfer", () => moved !== undefined && other.node.status().role === "leader");
  await write(cluster, other, WORDS, 10);
  await agree(scene);
  await moved;
  await cluster.close();
});

test("a receiver that dies in the middle begins anew after its restart", async () => {
  const scene = await behind();
  const { cluster } = scene;
  const member = await cluster.open(scene.name, { kind: "restart" }, scene.media);
  let media: Member["media"] | undefined;
  scene.interfere = () => {
    media = cluster.crash(member);
  };
  await cluster.until("the receiver died", () => media !== undefined);
  await cluster.tick(5);
  assert.ok(media);
  await cluster.open(scene.name, { kind: "restart" }, media);
  await agree(scene);
  await cluster.close();
});

test("compactions while a snapshot is sent leave what its receiver needs next", async () => {
  const whole = await undisturbed();
  const scene = await behind();
  const { cluster, leader } = scene;
  let release = (): void => undefined;
  scene.interfere = () =>
    new Promise((resolve) => {
      release = resolve;
    });
  await cluster.open(scene.name, { kind: "restart" }, scene.media);
  await cluster.until("the third portion", () => scene.portions >= 3);
  for (let at = 0; at < 700; at += 100) {
    await write(cluster, leader, WORDS + at, 100);
    await cluster.tick(8);
  }
  release();
  await agree(scene);
  assert.ok(scene.portions <= whole + 1, `one snapshot was enough, got ${scene.portions} of ${whole}`);
  await cluster.close();
});

test("a member that is removed while it receives a snapshot gets no more of it", async () => {
  const whole = await undisturbed();
  const scene = await behind();
  const { cluster, leader } = scene;
  const member = await cluster.open(scene.name, { kind: "restart" }, scene.media);
  let removal: Promise<void> | undefined;
  scene.interfere = async () => {
    removal = leader.node.removeMember(member.node.raftId, { force: true });
    await removal;
  };
  await cluster.until("the removal", () => removal !== undefined);
  await cluster.during(removal ?? Promise.resolve());
  await cluster.tick(30);
  assert.ok(scene.portions < whole, `got ${scene.portions} of ${whole}`);
  assert.equal(leader.node.inspect().queues?.snapshots, 0);
  await write(cluster, leader, WORDS, 5);
  cluster.members.delete(member.name);
  await cluster.during(member.node.close());
  await cluster.close();
});
