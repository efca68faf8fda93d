/**
 * Scenarios of the leader's control loops on a memory store: create, scale, crash, node loss, drain, removal.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  NodeAvailability,
  PlacementStrategy,
  RestartCondition,
  TaskState,
} from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";

function replicas(count: number): { $case: "replicated"; value: { replicas: number } } {
  return { $case: "replicated", value: { replicas: count } };
}

test("a new service gets its tasks assigned, one per node before two, in three commits of the loops", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2", "n3");
  const before = lab.test.store.index;
  lab.run = (task) => ({ state: task.status?.state ?? TaskState.ASSIGNED });
  await lab.createService("web", { mode: replicas(3) });
  assert.deepEqual(
    lab.tasks("web").map((task) => [task.slot, task.status?.state, task.allocated]),
    [1, 2, 3].map((slot) => [slot, TaskState.ASSIGNED, true]),
  );
  assert.equal(new Set(lab.tasks("web").map((task) => task.nodeId)).size, 3);
  assert.equal(lab.test.store.index - before, 4, "service, tasks, endpoint and addresses, nodes");
  await lab.close();
});

test("thirty tasks take one transaction per stage", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2", "n3");
  await lab.createNetwork("net");
  const before = lab.test.store.index;
  lab.run = (task) => ({ state: task.status?.state ?? TaskState.ASSIGNED });
  await lab.createService("web", { mode: replicas(30), task: { networks: [{ target: "net" }] } });
  assert.equal(lab.test.store.index - before, 4);
  const addresses = lab.tasks("web").flatMap((task) => task.networks.flatMap((network) => network.addresses));
  assert.equal(new Set(addresses).size, 30);
  assert.equal(lab.service("web").endpoint?.virtualIps[0]?.address, "10.0.0.2/24");
  await lab.close();
});

test("scaling up fills the lowest slots, scaling down takes from the busiest node", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { mode: replicas(2) });
  await lab.scale("web", 4);
  assert.deepEqual(
    lab.tasks("web").map((task) => `${task.slot} ${task.createdBecause}`),
    ["1 create", "2 create", "3 scale: 2 to 4 replicas", "4 scale: 2 to 4 replicas"],
  );
  await lab.addNodes("n3");
  await lab.scale("web", 5);
  await lab.scale("web", 3);
  assert.deepEqual(
    lab
      .running("web")
      .map((task) => task.nodeId)
      .sort(),
    ["n1", "n2", "n3"],
  );
  assert.equal(lab.tasks("web").length, 3, "removed tasks are deleted once they ended");
  await lab.close();
});

test("a removed service leaves no task behind", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(3) });
  assert.equal(lab.running("web").length, 3);
  await lab.removeService("web");
  assert.deepEqual(lab.show("web"), []);
  await lab.close();
});

test("a crashed task is replaced after the restart delay, and its history is kept to the limit", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(1) });
  const [first] = lab.running("web");
  await lab.crash(first?.id ?? "", 137);
  assert.deepEqual(lab.show("web"), [
    "1 n1 READY/READY app:1 restart: exit code 137",
    "1 n1 FAILED/SHUTDOWN app:1 create",
  ]);
  await lab.advance(4_999);
  assert.equal(lab.running("web").length, 0);
  await lab.advance(1);
  assert.equal(lab.running("web").length, 1);
  for (let i = 0; i < 8; i++) {
    await lab.advance(60_000); // a healthy run: the failures are not in a row
    await lab.crash(lab.running("web")[0]?.id ?? "");
    await lab.advance(5_000);
  }
  assert.equal(lab.running("web").length, 1);
  assert.equal(lab.tasks("web").length, 5);
  await lab.close();
});

test("max attempts end the restarts, also across a change of leader", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  lab.run = () => ({ state: TaskState.FAILED, err: "exit code 1" });
  await lab.createService("web", {
    mode: replicas(1),
    task: { restart: { condition: RestartCondition.ANY, delayMs: 1_000, maxAttempts: 7 } },
  });
  for (let i = 0; i < 12; i++) {
    await lab.advance(1_000);
    if (i === 4) await lab.changeLeader();
  }
  assert.equal(lab.tasks("web").length, 8, "the first and seven restarts are kept, to count them");
  assert.ok(lab.tasks("web").every((task) => task.desiredState === TaskState.SHUTDOWN));
  await lab.close();
});

test("a task that completes under on-failure is not started again, one that fails is", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const restart = { condition: RestartCondition.ON_FAILURE, delayMs: 0 };
  await lab.createService("once", { mode: replicas(1), task: { restart } });
  await lab.crash(lab.running("once")[0]?.id ?? "", 3);
  assert.equal(lab.running("once").length, 1, "no delay asked for: at once");
  await lab.crash(lab.running("once")[0]?.id ?? "", 0);
  await lab.advance(60_000);
  assert.deepEqual(lab.show("once"), [
    "1 n1 COMPLETE/SHUTDOWN app:1 restart: exit code 3",
    "1 n1 FAILED/SHUTDOWN app:1 create",
  ]);
  await lab.close();
});

test("tasks of a down node are replaced at once and orphaned later; its return makes no duplicates", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createNetwork("net");
  await lab.createService("web", { mode: replicas(2), task: { networks: [{ target: "net" }] } });
  const lost = lab.running("web").find((task) => task.nodeId === "n1");
  await lab.nodeDown("n1");
  assert.deepEqual(lab.running("web").filter((task) => task.nodeId === "n2").length, 2);
  assert.ok(lab.show("web").includes(`${lost?.slot} n2 RUNNING/RUNNING app:1 node: n1 is down`));
  assert.ok(lab.show("web").includes(`${lost?.slot} n1 RUNNING/SHUTDOWN app:1 create`));
  await lab.advance(5 * 60_000);
  assert.ok(lab.show("web").includes(`${lost?.slot} n1 ORPHANED/SHUTDOWN app:1 create`));
  await lab.nodeUp("n1");
  assert.equal(lab.running("web").length, 2);
  await lab.close();
});

test("a node that returns soon stops its old task, and the new one stays", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { mode: replicas(1) });
  const home = lab.running("web")[0]?.nodeId ?? "";
  await lab.nodeDown(home);
  await lab.nodeUp(home);
  assert.deepEqual(
    lab.tasks("web").map((task) => [task.nodeId === home, task.status?.state]),
    [
      [false, TaskState.RUNNING],
      [true, TaskState.SHUTDOWN],
    ],
  );
  await lab.close();
});

test("a drained node gives its tasks away, a paused one keeps them and takes no more", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2", "n3");
  await lab.createService("web", { mode: replicas(3) });
  await lab.setAvailability("n1", NodeAvailability.PAUSE);
  await lab.setAvailability("n2", NodeAvailability.DRAIN);
  assert.deepEqual(
    lab
      .running("web")
      .map((task) => task.nodeId)
      .sort(),
    ["n1", "n3", "n3"],
  );
  assert.ok(lab.tasks("web").some((task) => task.createdBecause === "node: n2 is drained"));
  await lab.scale("web", 5);
  assert.equal(lab.running("web").filter((task) => task.nodeId === "n1").length, 1);
  await lab.close();
});

test("a global service follows the nodes: new, drained, down, back, constrained", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("agent", { mode: { $case: "global", value: {} } });
  const nodes = (): string[] => lab.running("agent").map((task) => task.nodeId);
  assert.deepEqual(nodes(), ["n1", "n2"]);
  await lab.addNodes("n3");
  await lab.settle();
  assert.deepEqual(nodes(), ["n1", "n2", "n3"]);
  await lab.setAvailability("n2", NodeAvailability.DRAIN);
  assert.deepEqual(nodes(), ["n1", "n3"]);
  await lab.setAvailability("n2", NodeAvailability.ACTIVE);
  assert.deepEqual(nodes(), ["n1", "n2", "n3"]);
  const before = lab.running("agent").map((task) => task.id);
  await lab.nodeDown("n3");
  await lab.nodeUp("n3");
  assert.deepEqual(
    lab.running("agent").map((task) => task.id),
    before,
    "back in time: its task goes on",
  );
  await lab.nodeDown("n3");
  await lab.advance(5 * 60_000);
  assert.deepEqual(nodes(), ["n1", "n2"]);
  await lab.nodeUp("n3");
  assert.deepEqual(nodes(), ["n1", "n2", "n3"]);
  await lab.updateService("agent", (spec) => ({
    ...spec,
    task: spec.task && {
      ...spec.task,
      placement: {
        constraints: ["node.hostname != n1"],
        spreadPreferences: [],
        platforms: [],
        maxReplicas: 0,
        strategy: PlacementStrategy.DEFAULT,
      },
    },
  }));
  assert.deepEqual(nodes(), ["n2", "n3"]);
  await lab.close();
});

test("a task that fits nowhere says why, and is placed when a node comes", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.setAvailability("n1", NodeAvailability.DRAIN);
  const resources = { reservations: { memoryBytes: 8 * 2 ** 30 } };
  await lab.createService("big", { mode: replicas(1), task: { resources } });
  const [pending] = lab.tasks("big");
  assert.equal(
    pending?.status?.message,
    "no suitable node (1 node not available for new tasks, 1 node lacks 8 GiB of memory)",
  );
  assert.equal(pending?.status?.cause, "no-suitable-node");
  await lab.addNode({ id: "n3", description: { hostname: "n3", resources: { memoryBytes: 2 ** 34 } } });
  await lab.settle();
  assert.deepEqual(
    lab.running("big").map((task) => task.nodeId),
    ["n3"],
  );
  await lab.close();
});

test("a new leader changes nothing that is in order", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createNetwork("net");
  await lab.createService("web", { mode: replicas(4), task: { networks: [{ target: "net" }] } });
  const { index } = lab.test.store;
  await lab.changeLeader();
  assert.equal(lab.test.store.index, index);
  await lab.close();
});

test("a service that keeps failing on one node goes elsewhere", async () => {
  const lab = new ControlLab();
  await lab.addNodes("bad", "good1");
  lab.run = (task) =>
    task.nodeId === "bad" ? { state: TaskState.FAILED, err: "exit code 1" } : { state: TaskState.RUNNING };
  await lab.createService("busy", {
    mode: { $case: "global", value: {} },
    task: { restart: { delayMs: 60_000 } },
  });
  await lab.createService("web", { mode: replicas(2), task: { restart: { delayMs: 1_000 } } });
  for (let i = 0; i < 8; i++) await lab.advance(1_000);
  assert.deepEqual(
    lab.running("web").map((task) => task.nodeId),
    ["good1", "good1"],
  );
  await lab.close();
});

test("when no other node can take its tasks, those of a node that is down are waited for", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(2) });
  const before = lab.running("web").map((task) => task.id);
  await lab.nodeDown("n1");
  await lab.changeLeader();
  await lab.nodeUp("n1");
  assert.deepEqual(
    lab.running("web").map((task) => task.id),
    before,
  );
  await lab.nodeDown("n1");
  await lab.addNodes("n2");
  await lab.settle();
  assert.deepEqual(
    lab.running("web").map((task) => task.nodeId),
    ["n2", "n2"],
  );
  await lab.close();
});
