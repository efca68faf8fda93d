/**
 * A quorum is lost for good: one survivor goes on alone by an operator's word, and says what may be missing;
 * managers that come back are refused by id, and their nodes go on as workers.
 */
import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import {
  call,
  createService,
  dissolve,
  formSwarm,
  messageIn,
  nodeOf,
  SLEEPER,
  type SwarmNode,
  until,
  untilNodes,
  untilRunning,
} from "../support/lab/lab-swarm.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 4, clients: 0 });
  await formSwarm(lab, { managers: 3 }); // host4 is a worker
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

const named = (all: readonly SwarmNode[], name: string): SwarmNode | undefined =>
  all.find((node) => node.Description.Hostname === name);

test("force-new-cluster is refused while there is a quorum, on a worker, and outside a swarm", async () => {
  const [one, , , four] = lab.hosts;
  assert.ok(one && four);
  const healthy = await one.api("POST", "/swarm/init", { ForceNewCluster: true });
  assert.equal(healthy.status, 503, healthy.body);
  assert.match(messageIn(healthy), /3 managers and a working quorum.*node demote/);
  const worker = await four.api("POST", "/swarm/init", { ForceNewCluster: true });
  assert.equal(worker.status, 503, worker.body);
  assert.match(messageIn(worker), /not a swarm manager/);
});

test("node ls says on every manager why another one does not run, and that one more loss is too much", async () => {
  const [one, two, three] = lab.hosts;
  assert.ok(one && two && three);
  assert.equal(
    (await one.skein(["node", "ls"])).stderr.trim(),
    "",
    "nothing to say of three healthy managers",
  );
  const identity = join(three.dataDir, "manager", "member.json");
  renameSync(identity, `${identity}.away`);
  three.killManager();
  let last = "";
  await until(
    "the cause in node ls",
    15_000,
    async () => {
      last = (await two.skein(["node", "ls"])).stderr;
      return /host3: manager: it does not run: there is no raft member/.test(last) ? true : undefined;
    },
    () => last,
  );
  assert.match(last, /2 of 3 managers can be reached.*losing one more manager loses the quorum/);
  const info = await two.docker(["info"]);
  assert.match(info.stdout + info.stderr, /losing one more manager loses the quorum/);
  renameSync(`${identity}.away`, identity);
  await untilNodes(one, "host3 well again", (all) => {
    const node = named(all, "host3");
    return node?.ManagerStatus?.Reachability === "reachable" && (node.Status.Message ?? "") === "";
  });
});

test("one survivor of three goes on with all it had; the others come back as workers", async () => {
  const [one, two, three, four] = lab.hosts;
  assert.ok(one && two && three && four);
  await createService(one, { name: "stays", command: SLEEPER, replicas: 4 });
  const before = await untilRunning(one, "stays", 4);
  await call(one, "POST", "/configs/create", { Name: "kept", Data: "YQ==" });
  await Promise.all([two.killDaemon(), three.killDaemon()]);
  const stuck = one.api("GET", "/nodes");
  let warnings: readonly string[] | null = null;
  await until(
    "the loss in info",
    10_000,
    async () => {
      ({ Warnings: warnings } = await call<{ Warnings: readonly string[] | null }>(one, "GET", "/info"));
      const isTold = (each: string): boolean => /1 of 3 .*the quorum is lost.*force-new-cluster/.test(each);
      return warnings?.some(isTold) === true ? true : undefined;
    },
    () => JSON.stringify(warnings),
  );

  const { code, stdout, stderr } = await one.skein(["swarm", "init", "--force-new-cluster"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Swarm recovered: node \w+ is its only manager now, at 10\.99\.0\.1:2377/);
  assert.match(stdout, /Kept +up to entry \d+ of term \d+; known to be committed: \d+/);
  assert.match(stdout, /host2 +10\.99\.0\.2:2377/);
  assert.match(stdout, /host3 +10\.99\.0\.3:2377/);
  assert.match(stdout, /acknowledged without it are gone/);
  assert.match(one.logTail(2_000), /a new cluster was forced: this manager goes on alone/);
  await stuck; // whatever it was told
  const account = await call<{ Dropped: unknown[] }>(one, "GET", "/skein/v1/swarm/recovery");
  assert.equal(account.Dropped.length, 2);

  const configs = await call<readonly { Spec: { Name: string } }[]>(one, "GET", "/configs");
  assert.deepEqual(
    configs.map(({ Spec }) => Spec.Name),
    ["kept"],
  );
  await call(one, "POST", "/configs/create", { Name: "after", Data: "YQ==" });
  const now = await untilNodes(
    one,
    "host4 ready at the survivor, the others down",
    (all) =>
      named(all, "host4")?.Status.State === "ready" &&
      named(all, "host2")?.Status.State === "down" &&
      named(all, "host3")?.Status.State === "down",
  );
  assert.deepEqual(
    now
      .map((node) => [node.Description.Hostname, node.Spec.Role, node.ManagerStatus?.Leader ?? false])
      .sort(),
    [
      ["host1", "manager", true],
      ["host2", "worker", false],
      ["host3", "worker", false],
      ["host4", "worker", false],
    ],
  );
  const moved = await untilRunning(one, "stays", 4);
  const four4 = (await nodeOf(four, one)).ID;
  const untouched = (all: typeof before): string[] =>
    all.filter((task) => task.NodeID === four4).map((task) => task.ID);
  assert.ok(
    untouched(before).every((id) => untouched(moved).includes(id)),
    "the worker's tasks went on",
  );

  await two.start();
  await untilNodes(one, "host2 back as a worker", (all) => named(all, "host2")?.Status.State === "ready");
  await until("host2's own word", 10_000, async () => {
    const info = await call<{ Swarm: { LocalNodeState: string; ControlAvailable: boolean; Error: string } }>(
      two,
      "GET",
      "/info",
    );
    const { LocalNodeState, ControlAvailable, Error: error } = info.Swarm;
    return LocalNodeState === "active" && !ControlAvailable && error === "" ? true : undefined;
  });
  assert.match(two.logTail(2_000), /was removed from the (cluster|swarm while it was away)/);
  assert.match(two.logTail(2_000), /swarm leave --force/);
  const node = await nodeOf(two, one);
  await call(one, "POST", `/nodes/${node.ID}/update?version=${node.Version.Index}`, {
    ...node.Spec,
    Role: "manager",
  });
  await untilNodes(
    two,
    "host2 a manager again",
    (all) => named(all, "host2")?.ManagerStatus?.Reachability === "reachable",
  );
});

test("a survivor whose daemon was restarted, with another address: the same, at that address", async () => {
  const [one, two] = lab.hosts;
  assert.ok(one && two);
  // A learner that is gone costs no quorum: then there would be nothing to force.
  await until("both vote", 10_000, async () => {
    const { members } = await call<{ members: { learner: boolean }[] }>(one, "GET", "/skein/v1/debug/raft");
    return members.length === 2 && members.every(({ learner }) => !learner) ? true : undefined;
  });
  await Promise.all([one.killDaemon(), two.killDaemon()]);
  for (const args of [
    ["addr", "del", "10.99.0.1/24", "dev", "eth0"],
    ["addr", "add", "10.99.0.11/24", "dev", "eth0"],
    ["route", "replace", "default", "via", "10.99.0.254"],
  ]) {
    assert.equal((await one.attempt("ip", args)).code, 0);
  }
  await one.start();
  const { code, stdout, stderr } = await one.skein([
    ...["swarm", "init", "--force-new-cluster", "--advertise-addr", "10.99.0.11"],
  ]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /is its only manager now, at 10\.99\.0\.11:2377/);
  assert.match(stdout, /host2 +10\.99\.0\.2:2377/);
  const [only] = (
    await untilNodes(one, "the survivor ready", (all) => named(all, "host1")?.Status.State === "ready")
  ).filter((node) => node.ManagerStatus !== undefined);
  assert.deepEqual(only?.ManagerStatus, { Leader: true, Reachability: "reachable", Addr: "10.99.0.11:2377" });
  await call(one, "POST", "/configs/create", { Name: "again", Data: "YQ==" });
});
