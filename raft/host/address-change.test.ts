import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../../test/support/raft-hosts.js";

const addressesIn = (cluster: Cluster): string[] =>
  cluster.leader.node
    .status()
    .membership.members.map(({ address }) => address)
    .sort();

test("a member that comes back at another address is written into the membership", async () => {
  const cluster = await Cluster.ofThree();
  const [moving] = cluster.others(cluster.leader);
  assert.ok(moving);
  const media = cluster.crash(moving);
  cluster.addresses.set(moving.name, "moved:2377");
  await cluster.open(moving.name, { kind: "restart" }, media);
  await cluster.until("its address is agreed on", () => addressesIn(cluster).includes("moved:2377"));
  await cluster.close();
});

test("a leader that comes back at another address corrects its own, also as the only member", async () => {
  const cluster = new Cluster();
  const founder = await cluster.open("a", { kind: "bootstrap" });
  await cluster.until("founder leads", () => founder.node.status().role === "leader");
  const media = cluster.crash(founder);
  cluster.addresses.set("a", "moved:2377");
  await cluster.open("a", { kind: "restart" }, media);
  await cluster.until("leads again", () => cluster.members.get("a")?.node.status().role === "leader");
  await cluster.until("its address is agreed on", () => addressesIn(cluster).join() === "moved:2377");
  await cluster.close();
});

test("all members but the survivor of a quorum may move at once", async () => {
  const cluster = await Cluster.ofThree();
  const moving = cluster.others(cluster.leader);
  const saved = moving.map((member) => ({ name: member.name, media: cluster.crash(member) }));
  for (const { name, media } of saved) {
    cluster.addresses.set(name, `${name}.new:2377`);
    await cluster.open(name, { kind: "restart" }, media);
  }
  const wanted = saved.map(({ name }) => `${name}.new:2377`);
  await cluster.until(
    "both addresses are agreed on",
    () =>
      [...cluster.members.values()].some(({ node }) => node.status().role === "leader") &&
      wanted.every((address) => addressesIn(cluster).includes(address)),
  );
  await cluster.close();
});
