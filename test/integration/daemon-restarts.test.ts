/**
 * What a daemon's end does to its host: nothing. Real daemons, containers and traffic.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../support/lab/lab.js";
import {
  call,
  containerOf,
  containers,
  createService,
  dissolve,
  formSwarm,
  HTTPD,
  isUp,
  logLines,
  nodeOf,
  nodes,
  pidOf,
  processStart,
  removeService,
  type SwarmTask,
  tasks,
  until,
  untilNodes,
  untilRunning,
  untilTasks,
} from "../support/lab/lab-swarm.js";

let lab: Lab;

before(async () => {
  lab = await Lab.open({ hosts: 2, clients: 1 });
  await formSwarm(lab, { managers: 1 });
});

after(async () => {
  assert.deepEqual(await dissolve(lab), []);
});

const curl = (address: string) =>
  (lab.clients[0] ?? assert.fail("no client")).attempt("curl", [
    "-sS",
    "--max-time",
    "2",
    `http://${address}:8080/`,
  ]);

interface Seen {
  readonly pid: number;
  readonly startedAt: string | undefined;
}

/** Process of each task on host2. */
async function processesOf(list: readonly SwarmTask[]): Promise<ReadonlyMap<string, Seen>> {
  const seen = new Map<string, Seen>();
  for (const task of list) {
    const pid = await pidOf(lab.host(2), containerOf(task));
    seen.set(task.ID, { pid, startedAt: processStart(pid) });
  }
  return seen;
}

const ids = (list: readonly SwarmTask[]): string[] => list.map((task) => task.ID).sort();
const onHost2 = ["node.hostname==host2"];

test("kill -9 of skeind: containers, traffic and logs go on, and are adopted with their ends", async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  const say = "n=0; while true; do n=$((n+1)); echo line $n; [ -e /tmp/end ] && exit 7; sleep 0.1; done";
  await createService(one, {
    name: "talker",
    command: ["sh", "-c", say],
    constraints: onHost2,
    restart: "none",
  });
  await createService(one, {
    name: "web",
    command: HTTPD,
    replicas: 2,
    constraints: onHost2,
    ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: 8080, PublishMode: "ingress" }],
  });
  const web = await untilRunning(one, "web", 2);
  const [talker] = await untilRunning(one, "talker", 1);
  assert.ok(talker);
  const before = await processesOf([...web, talker]);
  await until("an answer of the mesh", 20_000, async () =>
    (await curl(one.address)).code === 0 ? true : undefined,
  );

  const linesBefore = (await logLines(one, "/services/talker")).length;
  await two.killDaemon();
  let failures = 0;
  for (let round = 0; round < 10; round++) {
    for (const host of [one, two]) if ((await curl(host.address)).code !== 0) failures += 1;
  }
  assert.equal(failures, 0, "requests while the daemon was away");
  for (const { pid, startedAt } of before.values()) assert.equal(processStart(pid), startedAt);

  // One container goes on talking for a second, and then ends, while nobody looks.
  const talkUntil = Date.now() + 1_200;
  await until("a second of talk", 3_000, async () => (Date.now() > talkUntil ? true : undefined));
  const talkerPid = before.get(talker.ID)?.pid ?? assert.fail("no process");
  const ended = await lab.host(2).attempt("touch", [`/proc/${talkerPid}/root/tmp/end`]);
  assert.equal(ended.code, 0, ended.stderr);
  await until("the talker's end", 20_000, async () =>
    processStart(talkerPid) === undefined ? true : undefined,
  );

  await two.start();
  const [gone] = await untilTasks(one, "talker", "its end reported", (list) =>
    list.every((task) => task.Status.State === "failed"),
  );
  assert.equal(gone?.Status.ContainerStatus?.ExitCode, 7);
  assert.match(gone?.Status.Err ?? "", /non-zero exit \(7\)/);
  const lines = await logLines(one, "/services/talker");
  const numbers = lines.map((line) => Number(/line (\d+)/.exec(line)?.[1]));
  assert.deepEqual(
    numbers,
    Array.from({ length: numbers.length }, (_, index) => index + 1),
    "no line lost or doubled",
  );
  assert.ok(
    numbers.length >= linesBefore + 10,
    `${numbers.length} lines, ${linesBefore} of them before the kill`,
  );

  await untilNodes(one, "host2 ready", (all) => all.every((node) => node.Status.State === "ready"));
  const after = await untilRunning(one, "web", 2);
  assert.deepEqual(ids(after), ids(web));
  assert.deepEqual(await processesOf(after), new Map(web.map((task) => [task.ID, before.get(task.ID)])));
  assert.equal((await curl(two.address)).code, 0);
  await removeService(one, "talker");
});

test("a restart by SIGTERM moves no task: the node is disconnected at once, then ready again", async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  await createService(one, { name: "calm", replicas: 2, command: HTTPD });
  const calm = await untilRunning(one, "calm", 2);
  const web = await untilRunning(one, "web", 2);
  const before = await processesOf(web);
  await two.stop();
  await untilNodes(
    one,
    "host2 disconnected",
    (all) => all.some((node) => node.Status.State === "disconnected"),
    1_000,
  );
  // Nothing new is placed there, and a service that must be there says why it waits.
  await createService(one, { name: "late", constraints: onHost2 });
  const [late] = await untilTasks(
    one,
    "late",
    "an explanation",
    (list) => (list[0]?.Status.Err ?? "") !== "",
  );
  assert.equal(late?.Status.State, "pending");
  assert.match(late?.Status.Err ?? "", /1 node not available for new tasks/);
  // Longer than silence would be forgiven: three heartbeats.
  const until4s = Date.now() + 4_000;
  await until("four seconds of absence", 6_000, async () => {
    const states = (await nodes(one)).map((node) => node.Status.State);
    assert.ok(states.includes("disconnected"), states.join());
    for (const service of ["web", "calm"]) assert.equal((await tasks(one, service)).filter(isUp).length, 2);
    return Date.now() > until4s ? true : undefined;
  });
  assert.equal((await curl(two.address)).code, 0, "the mesh goes on");
  await two.start();
  await untilNodes(one, "host2 ready", (all) => all.every((node) => node.Status.State === "ready"));
  assert.deepEqual(ids(await untilRunning(one, "web", 2)), ids(web));
  assert.deepEqual(ids(await untilRunning(one, "calm", 2)), ids(calm));
  assert.equal((await tasks(one, "calm")).length, 2);
  assert.deepEqual(await processesOf(web), before);
  await untilRunning(one, "late", 1);
  for (const name of ["calm", "late"]) await removeService(one, name);
});

test("a restart of the only manager by SIGTERM: no task moves, the API comes back with all of it", async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  const web = await untilRunning(one, "web", 2);
  const before = await processesOf(web);
  await one.stop();
  assert.equal((await curl(one.address)).code, 0, "the mesh needs no daemon");
  await one.start();
  await untilNodes(
    one,
    "both ready",
    (all) => all.length === 2 && all.every((node) => node.Status.State === "ready"),
  );
  assert.deepEqual(ids(await untilRunning(one, "web", 2)), ids(web));
  assert.deepEqual(await processesOf(web), before);
  assert.equal((await nodeOf(two, one)).Status.State, "ready");
});

test("kill -9 of a container's process: it is replaced, and the cause is shown", async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  const web = await untilRunning(one, "web", 2);
  const victim = web[0] ?? assert.fail("no task");
  process.kill(await pidOf(two, containerOf(victim)), "SIGKILL");
  const all = await untilTasks(one, "web", "a successor", (list) => {
    const running = list.filter(isUp);
    return running.length === 2 && running.every((task) => task.ID !== victim.ID);
  });
  const dead = all.find((task) => task.ID === victim.ID);
  assert.equal(dead?.Status.State, "failed");
  assert.equal(dead?.Status.ContainerStatus?.ExitCode, 137);
  assert.match(dead?.Status.Err ?? "", /non-zero exit \(137\)/);
  const successor = all.find((task) => isUp(task) && task.Slot === victim.Slot);
  assert.match(successor?.Status.Message ?? "", /./);
  await until("an answer through both", 20_000, async () =>
    (await curl(one.address)).code === 0 && (await curl(two.address)).code === 0 ? true : undefined,
  );
});

test("a task that no other node may take waits for its host, and does not count as running meanwhile", async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  await createService(one, { name: "pinned", constraints: onHost2 });
  const [task] = await untilRunning(one, "pinned", 1);
  await two.killHost();
  const counted = async (count: number): Promise<void> => {
    await until(`${count} counted as running`, 10_000, async () => {
      const list = await call<readonly { Spec: { Name: string }; ServiceStatus: { RunningTasks: number } }[]>(
        one,
        "GET",
        "/services?status=true",
      );
      return list.find(({ Spec }) => Spec.Name === "pinned")?.ServiceStatus.RunningTasks === count
        ? true
        : undefined;
    });
  };
  await counted(0);
  assert.deepEqual(
    (await tasks(one, "pinned")).map(({ ID, DesiredState }) => [ID, DesiredState]),
    [[task?.ID, "running"]],
  );
  await two.start();
  const after = await untilTasks(one, "pinned", "a successor", (all) =>
    all.some((each) => isUp(each) && each.ID !== task?.ID),
  );
  await counted(1);
  const running = (await containers(two)).filter(
    ({ State, Names }) => State === "running" && /^\/pinned\./.test(Names[0] ?? ""),
  );
  assert.deepEqual(
    running.map(({ Id }) => Id),
    after.filter(isUp).map(containerOf),
  );
  await removeService(one, "pinned");
});

test("a removed service leaves no container", async () => {
  await removeService(lab.host(1), "web");
  let left = "";
  await until(
    "no container anywhere",
    10_000,
    async () => {
      const all = (await Promise.all(lab.hosts.map(containers))).flat();
      left = all.map(({ Names, State }) => `${Names[0]} ${State}`).join();
      return all.length === 0 ? true : undefined;
    },
    () => left,
  );
});
