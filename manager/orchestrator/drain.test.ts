/**
 * Scenarios of draining nodes: who moves when, what is said meanwhile, and the deadline.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FailureAction,
  NodeAvailability,
  TaskState,
  type UpdateConfig,
  UpdateOrder,
} from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";

const { DRAIN, ACTIVE } = NodeAvailability;
const replicas = (count: number) => ({ $case: "replicated", value: { replicas: count } }) as const;
const ordered = (order: UpdateOrder): UpdateConfig => ({
  parallelism: 1,
  delayMs: 0,
  failureAction: FailureAction.PAUSE,
  maxFailureRatio: 0,
  order,
});
const startFirst = ordered(UpdateOrder.START_FIRST);

async function twoNodes(): Promise<ControlLab> {
  const lab = new ControlLab();
  lab.test.clock.advance(Date.UTC(2026, 0, 1, 12) - lab.test.clock.nowMs());
  await lab.addNodes("n1");
  return lab;
}

function states(lab: ControlLab, service = "web"): string[] {
  return lab.tasks(service).map((task) => {
    const short = (state = ""): string => state.replace("TASK_STATE_", "");
    return `${task.nodeId || "-"} ${short(task.status?.state)}/${short(task.desiredState)}`;
  });
}

test("start-first: the old task serves until the new one runs, and says what it waits for", async () => {
  const lab = await twoNodes();
  await lab.createService("web", { update: startFirst });
  await lab.addNodes("n2");
  lab.run = () => ({ state: TaskState.STARTING });
  await lab.setAvailability("n1", DRAIN);
  assert.deepEqual(states(lab), ["n2 STARTING/RUNNING", "n1 RUNNING/RUNNING"]);
  assert.deepEqual(lab.waits("web"), [
    "1 n1 drain: waits for its successor on n2 to run, until 12:10:00 UTC at the latest",
  ]);
  lab.run = () => ({ state: TaskState.RUNNING });
  await lab.settle();
  assert.deepEqual(states(lab), ["n2 RUNNING/RUNNING", "n1 SHUTDOWN/SHUTDOWN"]);
  assert.deepEqual(lab.stops("web"), ["1 node: n1 is drained"]);
  assert.deepEqual(lab.waits("web"), []);
  await lab.close();
});

test("stop-first: the old task runs until the new one is prepared, then stops before the new one starts", async () => {
  const lab = await twoNodes();
  await lab.createService("web", {});
  await lab.addNodes("n2");
  lab.silent.add("n2");
  await lab.setAvailability("n1", DRAIN);
  assert.deepEqual(states(lab), ["n2 ASSIGNED/READY", "n1 RUNNING/RUNNING"]);
  assert.deepEqual(lab.waits("web"), [
    "1 n2 waits for the task before it on n1",
    "1 n1 drain: waits for its successor on n2 to be prepared, until 12:10:00 UTC at the latest",
  ]);
  lab.silent.delete("n2");
  lab.silent.add("n1");
  await lab.settle();
  assert.deepEqual(states(lab), ["n2 READY/READY", "n1 RUNNING/SHUTDOWN"]);
  lab.silent.delete("n1");
  await lab.settle();
  assert.deepEqual(states(lab), ["n2 RUNNING/RUNNING", "n1 SHUTDOWN/SHUTDOWN"]);
  await lab.close();
});

test("a task that holds its successor's address stops first, as soon as a node is there for that one", async () => {
  const lab = await twoNodes();
  await lab.createNetwork("net", "10.9.0.0/24");
  await lab.createService("web", { task: { networks: [{ target: "net", addresses: ["10.9.0.9"] }] } });
  assert.deepEqual(states(lab), ["n1 RUNNING/RUNNING"]);
  await lab.setAvailability("n1", DRAIN);
  await lab.advance(60_000);
  assert.equal(lab.running("web").length, 1, "no node would take it");
  await lab.addNodes("n2");
  await lab.settle();
  assert.deepEqual(states(lab), ["n2 RUNNING/RUNNING", "n1 SHUTDOWN/SHUTDOWN"]);
  assert.deepEqual(lab.tasks("web")[0]?.networks[0]?.addresses, ["10.9.0.9/24"]);
  await lab.close();
});

test("no other node: the task stays and says why, until the deadline", async () => {
  const lab = await twoNodes();
  await lab.createService("web", {});
  await lab.setAvailability("n1", DRAIN);
  assert.deepEqual(states(lab), ["- PENDING/READY", "n1 RUNNING/RUNNING"]);
  assert.ok(
    lab
      .waits("web")
      .includes(
        "1 n1 drain: waits for its successor to get a node: no suitable node (1 node not available for new " +
          "tasks), until 12:10:00 UTC at the latest",
      ),
    lab.waits("web").join("\n"),
  );
  await lab.changeLeader();
  await lab.advance(10 * 60_000 - 1);
  assert.equal(lab.running("web").length, 1);
  await lab.advance(1);
  assert.deepEqual(states(lab), ["- PENDING/RUNNING", "n1 SHUTDOWN/SHUTDOWN"]);
  assert.deepEqual(lab.stops("web"), ["1 node: n1 is drained, and the deadline has passed"]);
  await lab.addNodes("n2");
  await lab.settle();
  assert.deepEqual(states(lab), ["n2 RUNNING/RUNNING", "n1 SHUTDOWN/SHUTDOWN"]);
  await lab.close();
});

test("the node's own deadline comes before the cluster's", async () => {
  const lab = await twoNodes();
  await lab.createService("web", { update: startFirst });
  await lab.updateNode("n1", (node) => ({
    ...node,
    spec: node.spec && { ...node.spec, drainDeadlineMs: 5_000 },
  }));
  await lab.setAvailability("n1", DRAIN);
  await lab.advance(4_999);
  assert.equal(lab.running("web").length, 1);
  await lab.advance(1);
  assert.equal(lab.running("web").length, 0);
  await lab.close();
});

test("a drain taken back leaves the task where it is and drops the successor", async () => {
  const lab = await twoNodes();
  await lab.createService("web", {});
  const before = lab.running("web")[0]?.id;
  await lab.setAvailability("n1", DRAIN);
  await lab.setAvailability("n1", ACTIVE);
  await lab.advance(20 * 60_000);
  assert.deepEqual(
    lab.running("web").map(({ id }) => id),
    [before],
  );
  assert.equal(lab.tasks("web").length, 1);
  assert.deepEqual(lab.waits("web"), []);
  await lab.close();
});

test("while successors fail, the old task serves on", async () => {
  const lab = await twoNodes();
  await lab.createService("web", { task: { restart: { delayMs: 1_000 } } });
  await lab.addNodes("n2");
  lab.silent.add("n2");
  await lab.setAvailability("n1", DRAIN);
  for (let i = 0; i < 5; i++) {
    const fresh = lab.tasks("web").find(({ status }) => status?.state === TaskState.ASSIGNED);
    await lab.setStatus(fresh?.id ?? "", { state: TaskState.REJECTED, err: "No such image: app:1" });
    await lab.settle();
    assert.equal(lab.running("web").length, 1, `after ${i}: ${lab.show("web").join("; ")}`);
    await lab.advance(10_000);
  }
  assert.match(lab.waits("web").join("\n"), /1 n1 drain: waits for its successor/);
  await lab.advance(10 * 60_000);
  assert.equal(
    lab.tasks("web").filter(({ nodeId }) => nodeId === "n1")[0]?.status?.state,
    TaskState.SHUTDOWN,
  );
  await lab.close();
});

test("tasks of global services leave last", async () => {
  const lab = await twoNodes();
  await lab.createService("web", { mode: replicas(2), update: startFirst });
  await lab.createService("logs", { mode: { $case: "global", value: {} } });
  await lab.addNodes("n2");
  lab.run = (task) => ({ state: task.nodeId === "n2" ? TaskState.STARTING : TaskState.RUNNING });
  await lab.setAvailability("n1", DRAIN);
  assert.deepEqual(lab.waits("logs"), [
    "0 n1 drain: waits for 2 other tasks of n1 to leave, until 12:10:00 UTC at the latest",
  ]);
  lab.run = () => ({ state: TaskState.RUNNING });
  await lab.settle();
  assert.deepEqual(
    lab.running("logs").map(({ nodeId }) => nodeId),
    ["n2"],
  );
  assert.deepEqual(lab.stops("logs"), ["0 node: n1 is drained"]);
  await lab.close();
});

test("global services do not wait longer than the deadline", async () => {
  const lab = await twoNodes();
  await lab.createService("web", {});
  await lab.createService("logs", { mode: { $case: "global", value: {} } });
  lab.silent.add("n1"); // the others never confirm that they stopped
  await lab.setAvailability("n1", DRAIN);
  await lab.advance(10 * 60_000);
  assert.equal(lab.tasks("logs")[0]?.desiredState, TaskState.SHUTDOWN);
  await lab.close();
});

test("a job's task may finish on a drained node, until the deadline", async () => {
  const lab = await twoNodes();
  const mode = { $case: "replicatedJob", value: { maxConcurrent: 2, totalCompletions: 2 } } as const;
  await lab.createService("job", { mode });
  await lab.addNodes("n2");
  await lab.setAvailability("n1", DRAIN);
  assert.deepEqual(lab.waits("job"), [
    "0 n1 drain: may finish, until 12:10:00 UTC at the latest",
    "1 n1 drain: may finish, until 12:10:00 UTC at the latest",
  ]);
  await lab.crash(lab.tasks("job")[0]?.id ?? "", 0);
  await lab.advance(10 * 60_000);
  assert.deepEqual(
    lab.tasks("job").map((task) => `${task.slot} ${task.nodeId} ${task.createdBecause}`),
    ["0 n1 job: iteration 0", "1 n2 node: n1 is drained", "1 n1 job: iteration 0"],
  );
  await lab.close();
});

test("a run-once task may finish on a drained node and gets no successor", async () => {
  const lab = await twoNodes();
  await lab.createService("web", { task: { restart: { condition: "RESTART_CONDITION_NONE" } } });
  await lab.addNodes("n2");
  await lab.setAvailability("n1", DRAIN);
  assert.deepEqual(states(lab), ["n1 RUNNING/RUNNING"]);
  await lab.advance(10 * 60_000);
  assert.deepEqual(states(lab), ["n1 SHUTDOWN/SHUTDOWN"]);
  await lab.close();
});

test("a node that goes down while it is drained loses its tasks at once", async () => {
  const lab = await twoNodes();
  await lab.createService("web", { mode: replicas(2) });
  await lab.addNodes("n2");
  lab.silent.add("n2");
  await lab.setAvailability("n1", DRAIN);
  lab.silent.delete("n2");
  await lab.nodeDown("n1");
  assert.deepEqual(
    lab.running("web").map(({ nodeId }) => nodeId),
    ["n2", "n2"],
  );
  await lab.close();
});
