/**
 * A slot never runs more tasks than the order of its service allows, however long those that were told to
 * stop take: a second update, a drain, a restart and a slot that comes back wait for them.
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

const update: UpdateConfig = {
  parallelism: 1,
  delayMs: 0,
  failureAction: FailureAction.CONTINUE,
  monitorMs: 0,
  maxFailureRatio: 0,
  order: UpdateOrder.START_FIRST,
};

/** "n2 READY/READY", newest first. */
function states(lab: ControlLab): string[] {
  return lab.tasks("web").map((task) => {
    const short = (state = ""): string => state.replace("TASK_STATE_", "");
    return `${task.nodeId || "-"} ${short(task.status?.state)}/${short(task.desiredState)}`;
  });
}

/** One task on n1 that takes long to stop, its successor on n2 that runs. */
async function stopsSlowly(): Promise<ControlLab> {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { update });
  await lab.addNodes("n2", "n3");
  lab.silent.add("n1");
  await lab.setAvailability("n1", NodeAvailability.DRAIN);
  await lab.settle();
  return lab;
}

test("start-first: a second update waits, prepared, for the task that the one before has stopped", async () => {
  const lab = await stopsSlowly();
  const second = lab.running("web")[0]?.nodeId ?? "";
  assert.deepEqual(states(lab), [`${second} RUNNING/RUNNING`, "n1 RUNNING/SHUTDOWN"]);
  await lab.setImage("web", "app:2");
  const third = lab.tasks("web")[0]?.nodeId ?? "";
  const held = [`${third} READY/READY`, `${second} RUNNING/RUNNING`, "n1 RUNNING/SHUTDOWN"];
  assert.deepEqual(states(lab), held);
  assert.deepEqual(lab.waits("web"), [`1 ${third} waits for the task before it on n1`]);
  await lab.changeLeader();
  await lab.advance(60_000);
  assert.deepEqual(states(lab), held, "within the time that the old one has to stop");
  lab.silent.delete("n1");
  await lab.settle();
  const over = [`${third} RUNNING/RUNNING`, `${second} SHUTDOWN/SHUTDOWN`, "n1 SHUTDOWN/SHUTDOWN"];
  assert.deepEqual(states(lab), over);
  assert.deepEqual(lab.waits("web"), []);
  await lab.close();
});

test("start-first: what does not stop at all holds nothing up for ever", async () => {
  const lab = await stopsSlowly();
  await lab.setImage("web", "app:2");
  assert.equal(states(lab)[0]?.endsWith("READY/READY"), true);
  await lab.advance(70_000); // 10 s of grace, and 60 s
  assert.deepEqual(
    lab.running("web").map((task) => task.spec?.container?.image),
    ["app:2"],
  );
  await lab.close();
});

test("start-first: a node that goes down is not waited for", async () => {
  const lab = await stopsSlowly();
  await lab.setImage("web", "app:2");
  await lab.nodeDown("n1");
  assert.deepEqual(
    lab.running("web").map((task) => task.spec?.container?.image),
    ["app:2"],
  );
  await lab.close();
});

test("start-first: a drain while the task before still stops, and an update before its successor runs", async () => {
  const lab = await stopsSlowly();
  const second = lab.running("web")[0]?.nodeId ?? "";
  const last = second === "n2" ? "n3" : "n2";
  await lab.setAvailability(second, NodeAvailability.DRAIN);
  assert.deepEqual(states(lab), [`${last} READY/READY`, `${second} RUNNING/RUNNING`, "n1 RUNNING/SHUTDOWN"]);
  await lab.setImage("web", "app:2");
  const [newest, ...others] = lab.tasks("web");
  assert.equal(newest?.spec?.container?.image, "app:2");
  assert.equal(newest?.desiredState, TaskState.READY);
  assert.equal(others.filter(({ status }) => status?.state === TaskState.RUNNING).length, 2);
  lab.silent.delete("n1");
  await lab.settle();
  assert.deepEqual(
    lab.running("web").map(({ nodeId, spec }) => `${nodeId} ${spec?.container?.image}`),
    [`${last} app:2`],
  );
  await lab.close();
});

test("start-first: a slot that is wanted again waits for one of the two it had", async () => {
  const lab = await stopsSlowly();
  const second = lab.running("web")[0]?.nodeId ?? "";
  lab.silent.add(second);
  await lab.scale("web", 0);
  await lab.scale("web", 1);
  assert.equal(lab.tasks("web")[0]?.desiredState, TaskState.READY);
  assert.match(lab.waits("web").join(), /waits for the task before it on n\d$/);
  lab.silent.delete("n1");
  await lab.settle();
  assert.equal(lab.tasks("web")[0]?.desiredState, TaskState.RUNNING);
  await lab.close();
});

test("stop-first: a repaired slot waits for an older task than the newest, too", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", {});
  await lab.addNodes("n2");
  await lab.setAvailability("n1", NodeAvailability.PAUSE);
  lab.silent.add("n1");
  await lab.setImage("web", "app:2");
  assert.deepEqual(states(lab), ["n2 READY/READY", "n1 RUNNING/SHUTDOWN"]);
  const held = lab.tasks("web")[0]?.id ?? "";
  await lab.test.store.update((tx) => {
    const task = tx.get("task", held);
    if (task?.status === undefined) return;
    const status = { ...task.status, state: TaskState.SHUTDOWN };
    tx.update("task", { ...task, desiredState: TaskState.SHUTDOWN, status });
  });
  await lab.settle();
  assert.deepEqual(states(lab), ["n2 READY/READY", "n2 SHUTDOWN/SHUTDOWN", "n1 RUNNING/SHUTDOWN"]);
  assert.equal(lab.tasks("web")[0]?.waits[0]?.message, "waits for the task before it on n1");
  lab.silent.delete("n1");
  await lab.settle();
  assert.deepEqual(states(lab), ["n2 RUNNING/RUNNING", "n2 SHUTDOWN/SHUTDOWN", "n1 SHUTDOWN/SHUTDOWN"]);
  await lab.close();
});

test("start-first: of two old tasks the newer serves, though the update cannot reach its paused node", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: { $case: "global", value: {} }, update });
  lab.run = () => ({ state: TaskState.STARTING });
  await lab.setImage("web", "app:2");
  const [fresh] = lab.tasks("web");
  assert.deepEqual(states(lab), ["n1 STARTING/RUNNING", "n1 RUNNING/RUNNING"]);
  // Its node says that it runs after the next update has come, and the node was paused.
  await lab.setAvailability("n1", NodeAvailability.PAUSE);
  await lab.setImage("web", "app:3");
  await lab.setStatus(fresh?.id ?? "", { state: TaskState.RUNNING });
  await lab.settle();
  assert.deepEqual(states(lab), ["n1 RUNNING/RUNNING", "n1 SHUTDOWN/SHUTDOWN"]);
  await lab.close();
});
