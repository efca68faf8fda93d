/**
 * Scenarios of updates that do not go straight: paused and resumed, rolled back, beside node loss, without
 * tasks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import {
  FailureAction,
  TaskState,
  type TaskStatus,
  type UpdateConfig,
  UpdateOrder,
  UpdateState,
} from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";
import { executeStep } from "./steps.js";

const replicas = (count: number) => ({ $case: "replicated", value: { replicas: count } }) as const;

function config(changes: Partial<UpdateConfig> = {}): UpdateConfig {
  return {
    parallelism: 1,
    delayMs: 0,
    failureAction: FailureAction.PAUSE,
    monitorMs: 1_000,
    maxFailureRatio: 0,
    order: UpdateOrder.STOP_FIRST,
    ...changes,
  };
}

function breaks(image: string): (task: Task) => Partial<TaskStatus> {
  return (task) =>
    task.spec?.container?.image === image
      ? { state: TaskState.FAILED, err: "exit code 1" }
      : { state: TaskState.RUNNING };
}

const works = (): Partial<TaskStatus> => ({ state: TaskState.RUNNING });

function images(lab: ControlLab): string {
  return lab
    .running("web")
    .map((task) => task.spec?.container?.image ?? "")
    .join(" ");
}

function status(lab: ControlLab): string {
  const { state, message } = lab.service("web").updateStatus ?? { state: "none", message: "" };
  return `${state.replace("UPDATE_STATE_", "")}: ${message}`;
}

test("a paused update that is resumed goes on where it was; what failed before is not held against it", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(3), update: config() });
  lab.run = breaks("app:2");
  await lab.setImage("web", "app:2");
  assert.match(status(lab), /^PAUSED/);
  lab.run = works;
  const untouched = lab.running("web").map(({ id }) => id);
  await lab.advance(30_000);
  assert.match(status(lab), /^PAUSED/);
  assert.equal(images(lab), "app:2 app:1 app:1", "the restart had the new image");
  await lab.resume("web");
  for (let i = 0; i < 5; i++) await lab.advance(1_000);
  assert.equal(images(lab), "app:2 app:2 app:2");
  assert.equal(status(lab), "COMPLETED: update completed");
  assert.equal(untouched.length, 2);
  await lab.close();
});

test("a resumed update pauses again when the next task fails", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(3), update: config() });
  lab.run = breaks("app:2");
  await lab.setImage("web", "app:2");
  await lab.resume("web");
  assert.match(status(lab), /^PAUSED: .*web\.2 on n1: exit code 1 \(1 of 2 updated tasks failed, none may\)/);
  assert.equal(images(lab), "app:1");
  await lab.close();
});

test("start-first: a rollback keeps the old tasks, those about to be replaced included", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const update = config({
    order: UpdateOrder.START_FIRST,
    failureAction: FailureAction.ROLLBACK,
    parallelism: 2,
  });
  await lab.createService("web", { mode: replicas(3), update });
  const before = lab.running("web").map(({ id }) => id);
  lab.run = (task) =>
    task.spec?.container?.image === "app:2" && task.slot === 2
      ? { state: TaskState.FAILED, err: "unhealthy" }
      : { state: task.spec?.container?.image === "app:2" ? TaskState.STARTING : TaskState.RUNNING };
  await lab.setImage("web", "app:2");
  await lab.advance(10_000);
  assert.deepEqual(
    lab.running("web").map(({ id }) => id),
    before,
  );
  assert.match(status(lab), /^ROLLBACK_COMPLETED: rollback completed; update rolled back due to .*unhealthy/);
  assert.equal(lab.service("web").previousSpec, undefined, "as in Docker, once");
  assert.ok(
    lab.tasks("web").every((task) => before.includes(task.id) || task.desiredState === TaskState.SHUTDOWN),
  );
  assert.ok(lab.stops("web").includes("1 rollback: image app:2 to app:1"), lab.stops("web").join("\n"));
  await lab.close();
});

test("a manual rollback in the middle replaces only what was updated", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", {
    mode: replicas(4),
    update: config({ delayMs: 10_000 }),
    rollback: config(),
  });
  await lab.setImage("web", "app:2");
  assert.equal(images(lab), "app:2 app:1 app:1 app:1");
  const before = lab.running("web").map(({ id }) => id);
  await lab.rollback("web");
  for (let i = 0; i < 5; i++) await lab.advance(1_000);
  assert.equal(images(lab), "app:1 app:1 app:1 app:1");
  const after = lab.running("web").map(({ id }) => id);
  assert.deepEqual(after.slice(1), before.slice(1));
  assert.equal(status(lab), "ROLLBACK_COMPLETED: rollback completed");
  assert.equal(lab.running("web")[0]?.createdBecause, "rollback: image app:2 to app:1");
  await lab.close();
});

test("back and forth: failures of an earlier rollback do not stop a later one", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(2), update: config(), rollback: config() });
  await lab.setImage("web", "app:2");
  for (let i = 0; i < 4; i++) await lab.advance(1_000);
  lab.run = breaks("app:1");
  await lab.rollback("web");
  assert.match(status(lab), /^ROLLBACK_PAUSED: rollback paused due to failure .*web\.1 on n1: exit code 1/);
  assert.match(status(lab), /; to go on, with or without changes: docker service update web$/);
  lab.run = works;
  await lab.rollback("web"); // forward to app:2
  for (let i = 0; i < 4; i++) await lab.advance(1_000);
  assert.equal(images(lab), "app:2 app:2");
  await lab.rollback("web"); // and back to app:1, of which one task failed before
  for (let i = 0; i < 4; i++) await lab.advance(1_000);
  assert.equal(status(lab), "ROLLBACK_COMPLETED: rollback completed");
  assert.equal(images(lab), "app:1 app:1");
  await lab.close();
});

test("an update without replicas has nothing to do; its rollback ends at once", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(0), update: config() });
  await lab.setImage("web", "app:2");
  assert.equal(lab.service("web").updateStatus, undefined);
  await lab.rollback("web");
  assert.equal(status(lab), "ROLLBACK_COMPLETED: rollback completed");
  await lab.scale("web", 1);
  assert.equal(images(lab), "app:1");
  await lab.close();
});

test("a global service's task on a node that is down is updated when the node is back", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { mode: { $case: "global", value: {} }, update: config() });
  await lab.nodeDown("n2");
  await lab.setImage("web", "app:2");
  for (let i = 0; i < 3; i++) await lab.advance(1_000);
  assert.equal(status(lab), "COMPLETED: update completed");
  await lab.nodeUp("n2");
  for (let i = 0; i < 3; i++) await lab.advance(1_000);
  assert.equal(images(lab), "app:2 app:2");
  assert.equal(status(lab), "COMPLETED: update completed");
  await lab.close();
});

test("an updated task that loses its node still counts as one that is out of service", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { mode: replicas(2), update: config() });
  lab.run = (task) => ({
    state: task.spec?.container?.image === "app:2" ? TaskState.STARTING : TaskState.RUNNING,
  });
  await lab.setImage("web", "app:2");
  const fresh = lab.tasks("web").find((task) => task.spec?.container?.image === "app:2");
  await lab.nodeDown(fresh?.nodeId ?? "");
  await lab.advance(30_000);
  const old = lab.tasks("web").filter((task) => task.spec?.container?.image === "app:1");
  assert.ok(old.some((task) => task.desiredState === TaskState.RUNNING || task.createdBecause === "create"));
  const begun = lab.tasks("web").filter((task) => task.createdBecause.startsWith("update"));
  assert.equal(begun.length, 1, lab.show("web").join("\n"));
  await lab.close();
});

test("an update that cannot go on says which task waits for what", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(2), update: config() });
  await lab.updateService("web", (spec) => ({
    ...spec,
    task: spec.task && {
      ...spec.task,
      resources: {
        limits: undefined,
        limitPids: 0,
        reservations: { nanoCpus: 0, memoryBytes: 2 ** 40, generic: [] },
      },
    },
  }));
  assert.match(status(lab), /^UPDATING: update in progress: web\.1 waits \(pending\): no suitable node \(/);
  await lab.updateService("web", (spec) => ({
    ...spec,
    task: spec.task && { ...spec.task, resources: undefined },
  }));
  for (let i = 0; i < 4; i++) await lab.advance(1_000);
  assert.equal(status(lab), "COMPLETED: update completed");
  await lab.close();
});

test("an update that goes on whatever fails counts what failed", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const update = config({ failureAction: FailureAction.CONTINUE });
  await lab.createService("web", { mode: replicas(3), update });
  lab.run = breaks("app:2");
  await lab.setImage("web", "app:2");
  assert.equal(status(lab), "COMPLETED: update completed; 3 of 3 tasks failed early");
  await lab.close();
});

test("a judgement on an older specification is void", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", {});
  const old = lab.service("web").specVersion?.index ?? 0;
  await lab.setImage("web", "app:2");
  const verdict = { state: UpdateState.PAUSED, startedAtMs: 0, completedAtMs: 0, message: "late" };
  const before = status(lab);
  for (const kind of ["updateStatus", "rollback"] as const) {
    await lab.test.store.update((tx) =>
      executeStep(tx, { kind, serviceId: "web", specVersionIndex: old, status: verdict }),
    );
  }
  assert.equal(status(lab), before);
  assert.equal(lab.service("web").spec?.task?.container?.image, "app:2");
  await lab.close();
});

test("a rolled back job begins its next iteration, and is back", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const mode = { $case: "replicatedJob", value: { maxConcurrent: 1, totalCompletions: 1 } } as const;
  await lab.createService("web", { mode });
  await lab.setImage("web", "app:2");
  await lab.rollback("web");
  assert.equal(status(lab), "ROLLBACK_COMPLETED: rollback completed");
  assert.deepEqual(
    lab.tasks("web").map((task) => task.spec?.container?.image),
    ["app:1"],
  );
  await lab.close();
});
