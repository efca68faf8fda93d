import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { UnavailableError } from "../../base/errors/errors.js";
import { Cluster, turns, word } from "../../test/support/raft-hosts.js";

const clusters: Cluster[] = [];

async function leasedCluster(): Promise<Cluster> {
  const cluster = new Cluster("lease");
  clusters.push(cluster);
  cluster.reads = "lease";
  const a = await cluster.open("a", { kind: "bootstrap" });
  await cluster.until("founder leads", () => a.node.status().role === "leader");
  for (const name of ["b", "c"]) await cluster.join(name, a);
  await cluster.tick(12);
  return cluster;
}

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.close();
});

test("with a lease a read costs no round trip, and a leader that nobody hears soon has none", async () => {
  const cluster = await leasedCluster();
  const { leader } = cluster;
  const { index } = await leader.node.propose(word("kept"));
  await cluster.tick(2);
  cluster.network.setSilent(leader.node.raftId, true);
  let answered: number | undefined;
  leader.node.readBarrier().then((at) => (answered = at), assert.fail);
  await turns();
  assert.equal(answered, index);
  cluster.clock.advance(760); // one late tick; the lease counts the time
  const late = assert.rejects(cluster.during(leader.node.readBarrier()), UnavailableError);
  await late;
  cluster.network.setSilent(leader.node.raftId, false);
  await cluster.until("all hear each other", () => leader.node.status().leader !== 0);
});

test("a leader that dies is replaced after the promises, and one that hands over at once", async () => {
  const cluster = await leasedCluster();
  await cluster.during(cluster.leader.node.transferLeadership());
  await cluster.tick(3);
  const { leader } = cluster;
  const survivors = cluster.others(leader);
  cluster.crash(leader);
  const leads = (): boolean => survivors.some(({ node }) => node.status().role === "leader");
  const ticks = await cluster.until("a survivor leads", leads);
  assert.ok(ticks >= 9 && ticks <= 20, `${ticks} ticks`);
});

test("a member that is restarted without lease reads keeps what it promised", async () => {
  const cluster = await leasedCluster();
  const { leader } = cluster;
  const [b, c] = cluster.others(leader);
  assert.ok(b && c);
  cluster.reads = "read-index";
  const back = await cluster.open(b.name, { kind: "restart" }, cluster.crash(b));
  const term = leader.node.status().term;
  cluster.network.setCut(leader.node.raftId, back.node.raftId, true);
  cluster.network.setCut(leader.node.raftId, c.node.raftId, true);
  await cluster.tick(8);
  assert.deepEqual(
    [back, c].map(({ node }) => node.status().term),
    [term, term],
  );
  await cluster.until("another leads", () => [back, c].some(({ node }) => node.status().role === "leader"));
});
