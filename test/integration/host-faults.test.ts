/**
 * Managers and whole hosts that die or are cut off, under traffic and writes.
 * Real daemons on three hosts, all managers.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  containerOf,
  containers,
  createService,
  dissolve,
  formSwarm,
  HTTPD,
  isUp,
  leader,
  messageIn,
  networkTraces,
  nodeOf,
  removeService,
  serviceSpec,
  tasks,
  until,
  untilNodes,
  untilRunning,
  untilTasks,
} from "../support/lab/lab-swarm.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 3, clients: 1 });
  await formSwarm(lab, { managers: 3 });
  await createService(lab.host(1), {
    name: "web",
    command: HTTPD,
    replicas: 3,
    ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 8080, PublishMode: "ingress" }],
  });
  await untilRunning(lab.host(1), "web", 3);
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

const ok = async (host: LabHost): Promise<boolean> => {
  const client = lab.clients[0] ?? assert.fail("no client");
  return (
    (await client.attempt("curl", ["-sS", "--max-time", "1", `http://${host.address}:8080/`])).code === 0
  );
};

/**
 * Requests through the hosts in turn, until told to end.
 * @returns when each failed one began, ms since `probe` was called.
 */
function probe(hosts: readonly LabHost[]): { end: () => Promise<{ failedAtMs: number[]; count: number }> } {
  const startedAt = Date.now();
  const failedAtMs: number[] = [];
  let count = 0;
  let ended = false;
  const running = (async () => {
    while (!ended) {
      const host = hosts[count++ % hosts.length] ?? assert.fail("no host");
      const atMs = Date.now() - startedAt;
      if (!(await ok(host))) failedAtMs.push(atMs);
    }
  })();
  const end = async (): Promise<{ failedAtMs: number[]; count: number }> => {
    ended = true;
    await running;
    return { failedAtMs, count };
  };
  return { end };
}

/** Every container that runs is the container of a task that should, and the other way round. */
async function untilExact(ask: LabHost, service: string, count: number): Promise<void> {
  let seen = "";
  await until(
    `${service}: ${count} containers, one per running task`,
    15_000,
    async () => {
      const wanted = (await tasks(ask, service)).filter(isUp).map(containerOf).sort();
      const all = (await Promise.all(lab.hosts.map(containers))).flat();
      const running = all
        .filter((one) => one.State === "running" && one.Labels["com.docker.swarm.service.name"] === service)
        .map((one) => one.Id)
        .sort();
      seen = `tasks ${wanted.join()}; containers ${running.join()}`;
      return wanted.length === count && running.join() === wanted.join() ? true : undefined;
    },
    () => seen,
  );
}

async function untilAllAnswer(): Promise<void> {
  await until("an answer through every host", 20_000, async () =>
    (await Promise.all(lab.hosts.map(ok))).every(Boolean) ? true : undefined,
  );
}

const allReachable = (ask: LabHost) =>
  untilNodes(
    ask,
    "all ready and reachable",
    (all) =>
      all.length === lab.hosts.length &&
      all.every((node) => node.Status.State === "ready" && node.ManagerStatus?.Reachability === "reachable"),
  );

test("kill -9 of the leader's manager: the leadership moves, writes go on, it comes back", async () => {
  const old = await leader(lab, lab.host(1));
  const [survivor] = lab.hosts.filter((host) => host !== old);
  assert.ok(survivor);
  const before = (await tasks(survivor, "web")).map((task) => task.ID).sort();
  const [pid] = old.managerPids();
  const traffic = probe(lab.hosts);
  old.killManager();
  const killedAt = Date.now();
  // A write that was under way says so when nobody can know whether it was made; the next one is just made.
  const wish = serviceSpec({ name: "after", constraints: ["node.hostname==nowhere"] });
  const first = await survivor.api("POST", "/services/create", wish);
  if (first.status !== 201) {
    assert.equal(first.status, 503, first.body);
    assert.match(messageIn(first), /went away before it answered: the change may have been made, or not/);
    const second = await survivor.api("POST", "/services/create", wish);
    assert.ok(second.status === 201 || second.status === 409, second.body);
  }
  const tookMs = Date.now() - killedAt;
  assert.ok(tookMs < 3_000, `a write took ${tookMs} ms`);
  assert.notEqual(await leader(lab, survivor), old);
  const [again] = await until("a new manager process", 10_000, async () => {
    const pids = old.managerPids();
    return pids.length === 1 && pids[0] !== pid ? pids : undefined;
  });
  assert.notEqual(again, pid);
  await allReachable(old);
  // It serves reads and writes again, also those that the leader must answer.
  assert.equal((await call<{ Spec: { Name: string } }>(old, "GET", "/services/after")).Spec.Name, "after");
  await removeService(old, "after");
  assert.deepEqual((await tasks(old, "web")).map((task) => task.ID).sort(), before, "no task moved");
  const { failedAtMs, count } = await traffic.end();
  assert.deepEqual(failedAtMs, [], `of ${count} requests`);
});

test("kill -9 of a whole host: its tasks run elsewhere, requests go on, and it comes back clean", async () => {
  const victim = await leader(lab, lab.host(1)); // the worst one to lose
  const survivors = lab.hosts.filter((host) => host !== victim);
  const [survivor] = survivors;
  assert.ok(survivor);
  const victimId = (await nodeOf(victim, survivor)).ID;
  await victim.killHost();
  const killedAt = Date.now();
  const traffic = probe(survivors);
  const running = await untilTasks(
    survivor,
    "web",
    "three tasks on two hosts",
    (all) => all.filter((task) => isUp(task) && task.NodeID !== victimId).length === 3,
    12_000,
  );
  const movedAfterMs = Date.now() - killedAt;
  assert.ok(movedAfterMs < 8_000, `tasks moved after ${movedAfterMs} ms`);
  const lost = running.find((task) => task.NodeID === victimId);
  assert.equal(lost?.DesiredState, "shutdown");
  // From now on nothing is sent to the dead.
  const { failedAtMs, count } = await traffic.end();
  assert.ok(count > failedAtMs.length, `${failedAtMs.length} of ${count} failed`);
  let failures = 0;
  for (let round = 0; round < 20; round++) for (const host of survivors) if (!(await ok(host))) failures += 1;
  assert.equal(failures, 0, "requests after the move");
  const down = (
    await untilNodes(survivor, "the node down", (all) => all.some((node) => node.Status.State === "down"))
  ).find((node) => node.ID === victimId);
  assert.match(down?.Status.Message ?? "", /heartbeat failure: nothing heard for 3000 ms/);

  await victim.start();
  await allReachable(survivor);
  await untilExact(victim, "web", 3);
  await untilAllAnswer();
});

test("a host cut off and back: its tasks run elsewhere meanwhile, and once afterwards", async () => {
  const victim = await leader(lab, lab.host(1));
  const survivors = lab.hosts.filter((host) => host !== victim);
  const [survivor] = survivors;
  assert.ok(survivor);
  const victimId = (await nodeOf(victim, survivor)).ID;
  // Something of the victim's to move: all three tasks may have ended up elsewhere before.
  await createService(survivor, { name: "there", replicas: 6, command: HTTPD });
  const there = await untilRunning(survivor, "there", 6);
  assert.ok(there.some((task) => task.NodeID === victimId));
  await victim.partition();
  const cutAt = Date.now();
  const write = victim.api("POST", "/services/create", serviceSpec({ name: "lost" }));
  try {
    for (const [service, count] of [
      ["web", 3],
      ["there", 6],
    ] as const) {
      await untilTasks(
        survivor,
        service,
        `${count} tasks on two hosts`,
        (all) => all.filter((task) => isUp(task) && task.NodeID !== victimId).length === count,
        15_000,
      );
    }
    const movedAfterMs = Date.now() - cutAt;
    assert.ok(movedAfterMs < 10_000, `tasks moved after ${movedAfterMs} ms`);
    // A manager without a majority answers no read with old news, and takes no write; its containers go on.
    const refused = await write;
    assert.ok(refused.status >= 500, `${refused.status} ${refused.body}`);
    assert.ok((await containers(victim)).some((one) => one.State === "running"));
    let failures = 0;
    for (let round = 0; round < 10; round++)
      for (const host of survivors) if (!(await ok(host))) failures += 1;
    assert.equal(failures, 0, "requests while the host was away");
  } finally {
    await victim.heal();
  }
  await allReachable(survivor);
  await untilExact(survivor, "web", 3);
  await untilExact(survivor, "there", 6);
  await untilAllAnswer();
});

test("after all of that a removed swarm leaves nothing on any host", async () => {
  for (const name of ["web", "there"]) await removeService(lab.host(1), name);
  for (const host of lab.hosts) await call(host, "POST", "/swarm/leave?force=1");
  for (const host of lab.hosts) {
    assert.deepEqual(await containers(host), [], host.name);
    assert.deepEqual(await networkTraces(host), [], host.name);
  }
});
