/**
 * Nodes that leave, are removed, promoted and demoted, while writes go on;
 * and that nothing of the swarm stays on a host that left.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import type { LabHost } from "../support/lab/lab-host.js";
import {
  call,
  containers,
  createService,
  dissolve,
  formSwarm,
  HTTPD,
  isUp,
  join,
  leader,
  messageIn,
  networkTraces,
  nodeOf,
  tokens,
  until,
  untilNodes,
  untilRunning,
  untilTasks,
} from "../support/lab/lab-swarm.js";
import { labProcesses } from "../support/lab/sweep.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 4, clients: 1 });
  await formSwarm(lab, { managers: 3 }); // host4 is a worker
  const [one] = lab.hosts;
  assert.ok(one);
  await call(one, "POST", "/networks/create", { Name: "front", Driver: "overlay" });
  await call(one, "POST", "/secrets/create", { Name: "key", Data: "c2VjcmV0" });
  await createService(one, {
    name: "web",
    command: HTTPD,
    replicas: 8,
    networks: ["front"],
    ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 8080, PublishMode: "ingress" }],
  });
  await untilRunning(one, "web", 8);
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

/** Whatever of a swarm may be on a host besides its daemon and its images. */
async function traces(host: LabHost): Promise<string[]> {
  // the daemon's folder in memory for secrets: it stays, empty
  const secrets = joinPath(host.runDir, "c", "s");
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${host.dir}/`) && path !== secrets);
  const strangers = labProcesses({ dir: host.dir, prefix: host.cgroupParent }).filter(
    (pid) => pid !== host.daemonPid,
  );
  const files = ["swarm", "manager", "agent"].filter((name) => existsSync(joinPath(host.dataDir, name)));
  return [
    ...(await networkTraces(host)),
    ...mounts.map((path) => `mount ${path}`),
    ...(existsSync(secrets) ? readdirSync(secrets) : []).map((name) => `secret ${name}`),
    ...strangers.map((pid) => `process ${pid}`),
    ...files.map((name) => `folder ${name}`),
    ...(await containers(host)).map((one) => `container ${one.Names.join()}`),
  ];
}

interface Writer {
  /** @returns names of the writes that were acknowledged, and what the others were told. */
  end(): Promise<{ acknowledged: string[]; refused: string[] }>;
}

/** Creates configs one after another, through these hosts in turn. */
function write(t: TestContext, prefix: string, hosts: readonly LabHost[]): Writer {
  const acknowledged: string[] = [];
  const refused: string[] = [];
  let ended = false;
  const running = (async () => {
    for (let count = 0; !ended; count++) {
      const host = hosts[count % hosts.length] ?? assert.fail("no host");
      const name = `${prefix}-${count}`;
      const answer = await host.api("POST", "/configs/create", { Name: name, Data: "YQ==" });
      if (answer.status === 201) acknowledged.push(name);
      else refused.push(`${host.name}: ${answer.status} ${messageIn(answer)}`);
    }
  })();
  const end = async (): Promise<{ acknowledged: string[]; refused: string[] }> => {
    ended = true;
    await running;
    return { acknowledged, refused };
  };
  t.after(end);
  return { end };
}

async function assertWritten(host: LabHost, acknowledged: readonly string[]): Promise<void> {
  const found = await call<readonly { Spec: { Name: string } }[]>(host, "GET", "/configs");
  const names = new Set(found.map(({ Spec }) => Spec.Name));
  assert.deepEqual(
    acknowledged.filter((name) => !names.has(name)),
    [],
    "acknowledged writes that are lost",
  );
  assert.ok(acknowledged.length > 0);
}

async function setRole(ask: LabHost, host: LabHost, role: "manager" | "worker"): Promise<void> {
  const node = await nodeOf(host, ask);
  await call(ask, "POST", `/nodes/${node.ID}/update?version=${node.Version.Index}`, {
    ...node.Spec,
    Role: role,
  });
}

const untilManagers = (ask: LabHost, hosts: readonly LabHost[]) =>
  untilNodes(ask, `managers: ${hosts.map(({ name }) => name).join()}`, (all) => {
    const found = all.filter(
      (node) => node.Status.State === "ready" && node.ManagerStatus?.Reachability === "reachable",
    );
    const names = found.map((node) => node.Description.Hostname).sort();
    return (
      names.join() ===
      hosts
        .map(({ name }) => name)
        .sort()
        .join()
    );
  });

test("promoting a worker and demoting the leader under load loses no write and moves no task", async (t) => {
  const [one, two, three, four] = lab.hosts;
  assert.ok(one && two && three && four);
  const before = (await untilRunning(one, "web", 8)).map((task) => task.ID).sort();
  const writer = write(t, "role", [two, three]);
  await setRole(one, four, "manager");
  await untilManagers(two, [one, two, three, four]);
  assert.equal((await leader(lab, two)).name, one.name);
  await setRole(two, one, "worker");
  await untilManagers(two, [two, three, four]);
  const refusal = await until("host1 being a worker", 10_000, async () => {
    const answer = await one.api("GET", "/nodes");
    return answer.status === 503 ? answer : undefined;
  });
  assert.match(messageIn(refusal), /This node is not a swarm manager/);
  const { acknowledged, refused } = await writer.end();
  assert.deepEqual(
    refused,
    [],
    "whatever was under way when the leadership moved was done by the next leader",
  );
  await assertWritten(four, acknowledged);
  await until("the demoted manager's copy of the cluster's state being gone", 20_000, async () =>
    existsSync(joinPath(one.dataDir, "manager")) ? undefined : true,
  );
  assert.deepEqual(one.managerPids(), []);
  assert.deepEqual((await untilRunning(two, "web", 8)).map((task) => task.ID).sort(), before);
});

test("node rm: refused while the node is there, or a manager; a removed node is told, and may join again", async () => {
  const [one, two, three] = lab.hosts;
  assert.ok(one && two && three);
  const worker = await nodeOf(one, two);
  const early = await two.api("DELETE", `/nodes/${worker.ID}`);
  assert.equal(early.status, 400, early.body);
  assert.match(messageIn(early), /is not down and can't be removed/);
  const manager = await nodeOf(three, two);
  const wrong = await two.api("DELETE", `/nodes/${manager.ID}?force=1`);
  assert.equal(wrong.status, 400, wrong.body);
  assert.match(messageIn(wrong), /is a cluster manager .* must be demoted to worker before removal/);

  await one.killDaemon();
  await untilNodes(two, "host1 down", (all) =>
    all.some((each) => each.ID === worker.ID && each.Status.State === "down"),
  );
  await call(two, "DELETE", `/nodes/${worker.ID}`);
  await one.start();
  let last = "";
  await until(
    "an explanation in host1's info",
    8_000,
    async () => {
      last = (await call<{ Swarm: { Error: string } }>(one, "GET", "/info")).Swarm.Error;
      return /removed/.test(last) ? true : undefined;
    },
    () => last,
  );
  await call(one, "POST", "/swarm/leave?force=1");
  assert.deepEqual(await traces(one), []);
  const answer = await join(one, two, (await tokens(two)).Worker);
  assert.equal(answer.status, 200, answer.body);
  const back = await nodeOf(one, two);
  assert.notEqual(back.ID, worker.ID);
  // Something for it to do in what follows.
  await createService(two, {
    name: "here",
    command: HTTPD,
    networks: ["front"],
    constraints: ["node.hostname==host1"],
  });
  await untilRunning(two, "here", 1);
});

test("a worker leaves: its tasks run elsewhere, and nothing stays on it", async () => {
  const [one, two] = lab.hosts;
  assert.ok(one && two);
  const node = await nodeOf(one, two);
  assert.ok((await containers(one)).some((each) => each.State === "running"));
  await call(one, "POST", "/swarm/leave");
  assert.deepEqual(await traces(one), []);
  await untilTasks(
    two,
    "web",
    "8 elsewhere",
    (all) => all.filter((task) => isUp(task) && task.NodeID !== node.ID).length === 8,
  );
  await untilNodes(two, "the node is forgotten", (all) => all.every((each) => each.ID !== node.ID));
  const again = await one.api("POST", "/swarm/leave");
  assert.equal(again.status, 503, again.body);
  assert.match(messageIn(again), /not part of a swarm/);
});

test("a manager leaves only by force; writes go on, nothing stays on it, and it may come back", async (t) => {
  const [one, two, three, four] = lab.hosts;
  assert.ok(one && two && three && four);
  const leaving = await leader(lab, two);
  const [ask, other] = [two, three, four].filter((host) => host !== leaving);
  assert.ok(ask && other);
  const refused = await leaving.api("POST", "/swarm/leave");
  assert.equal(refused.status, 503, refused.body);
  assert.match(messageIn(refused), /participating as a manager.*left with 2 managers/);
  const id = (await nodeOf(leaving, ask)).ID;
  const writer = write(t, "leave", [ask, other]);
  await call(leaving, "POST", "/swarm/leave?force=1");
  assert.deepEqual(await traces(leaving), []);
  await untilManagers(ask, [ask, other]);
  await untilNodes(ask, "the node is forgotten", (all) => all.every((each) => each.ID !== id));
  await untilTasks(
    ask,
    "web",
    "8 elsewhere",
    (all) => all.filter((task) => isUp(task) && task.NodeID !== id).length === 8,
  );
  const { acknowledged, refused: lost } = await writer.end();
  for (const words of lost) assert.match(words, /may have been made, or not|leader/);
  assert.ok(lost.length <= 2, lost.join("\n"));
  await assertWritten(ask, acknowledged);

  const answer = await join(leaving, ask, (await tokens(ask)).Manager);
  assert.equal(answer.status, 200, answer.body);
  await untilManagers(leaving, [ask, other, leaving]);
});

test("all managers leave at once, and soon: nothing stays on any host", async () => {
  const startedMs = performance.now();
  await Promise.all(lab.hosts.slice(1).map((host) => call(host, "POST", "/swarm/leave?force=1")));
  assert.ok(performance.now() - startedMs < 6_000, "nobody waits for a removal that cannot be");
  for (const host of lab.hosts) assert.deepEqual(await traces(host), [], host.name);
});
