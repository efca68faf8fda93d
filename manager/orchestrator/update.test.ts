/**
 * Scenarios of rolling updates and rollbacks on the control loops.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import {
  EndpointSpec,
  FailureAction,
  Placement,
  PortConfig,
  PublishMode,
  TaskState,
  type TaskStatus,
  type UpdateConfig,
  UpdateOrder,
  UpdateState,
} from "../../proto/gen/skein/v1/types.js";
import { ControlLab, withImage } from "../../test/support/control-lab.js";

const replicas = (count: number) => ({ $case: "replicated", value: { replicas: count } }) as const;

function config(changes: Partial<UpdateConfig> = {}): UpdateConfig {
  return {
    parallelism: 1,
    delayMs: 0,
    failureAction: FailureAction.PAUSE,
    monitorMs: 5_000,
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

function images(lab: ControlLab, service = "web"): string[] {
  return lab.running(service).map((task) => task.spec?.container?.image ?? "");
}

test("an update replaces slot after slot, waits the delay between them and the monitor period at the end", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { mode: replicas(3), update: config({ delayMs: 1_000 }) });
  await lab.setImage("web", "app:2");
  assert.deepEqual(images(lab), ["app:2", "app:1", "app:1"]);
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.UPDATING);
  await lab.advance(999);
  assert.deepEqual(images(lab), ["app:2", "app:1", "app:1"]);
  await lab.advance(1);
  assert.deepEqual(images(lab), ["app:2", "app:2", "app:1"]);
  await lab.changeLeader();
  await lab.advance(1_000);
  assert.deepEqual(images(lab), ["app:2", "app:2", "app:2"]);
  await lab.advance(4_999);
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.UPDATING);
  await lab.advance(1);
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.COMPLETED);
  assert.equal(lab.service("web").updateStatus?.message, "update completed");
  await lab.close();
});

test("parallelism 0 replaces all at once", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(4), update: config({ parallelism: 0 }) });
  let stopped = 0;
  lab.run = (task) => {
    stopped = Math.max(
      stopped,
      lab.tasks("web").filter((t) => t.status?.state === TaskState.SHUTDOWN).length,
    );
    return { state: task.status?.state ?? TaskState.RUNNING };
  };
  await lab.setImage("web", "app:2");
  assert.equal(stopped, 4);
  await lab.close();
});

test("start-first keeps the old task until the new one runs", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(1), update: config({ order: UpdateOrder.START_FIRST }) });
  lab.run = () => ({ state: TaskState.STARTING });
  await lab.setImage("web", "app:2");
  assert.deepEqual(lab.show("web"), [
    "1 n1 STARTING/RUNNING app:2 update: image app:1 to app:2",
    "1 n1 RUNNING/RUNNING app:1 create",
  ]);
  lab.run = () => ({ state: TaskState.RUNNING });
  await lab.settle();
  assert.deepEqual(lab.show("web"), [
    "1 n1 RUNNING/RUNNING app:2 update: image app:1 to app:2",
    "1 n1 SHUTDOWN/SHUTDOWN app:1 create",
  ]);
  await lab.close();
});

test("stop-first starts the new task only when the old one has stopped", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { mode: replicas(1), update: config() });
  const home = lab.running("web")[0]?.nodeId ?? "";
  lab.silent.add(home);
  await lab.updateService("web", (spec) => {
    const { task } = withImage(spec, "app:2");
    const placement = Placement.fromPartial({ constraints: [`node.id != ${home}`] });
    return { ...spec, task: task && { ...task, placement } };
  });
  assert.deepEqual(
    lab.tasks("web").map((task) => [task.desiredState, task.status?.state]),
    [
      [TaskState.READY, TaskState.READY],
      [TaskState.SHUTDOWN, TaskState.RUNNING],
    ],
  );
  lab.silent.delete(home);
  await lab.settle();
  assert.deepEqual(images(lab), ["app:2"]);
  await lab.close();
});

test("labels, replicas and update settings are no reason to replace a task", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(2) });
  const ids = lab.running("web").map((task) => task.id);
  await lab.updateService("web", (spec) => ({
    ...spec,
    annotations: { name: "web", labels: { team: "blue" } },
    mode: replicas(3),
    update: config({ parallelism: 2 }),
  }));
  assert.deepEqual(
    lab
      .running("web")
      .slice(0, 2)
      .map((task) => task.id),
    ids,
  );
  assert.equal(lab.service("web").updateStatus, undefined);
  await lab.close();
});

const port = (targetPort: number, publishMode: PublishMode) =>
  PortConfig.fromPartial({ targetPort, publishMode });

async function publish(lab: ControlLab, ...ports: readonly PortConfig[]): Promise<void> {
  await lab.updateService("web", (spec) => ({ ...spec, endpoint: EndpointSpec.fromPartial({ ports }) }));
}

test("published ports and the endpoint mode change under running tasks", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(1) });
  const [task] = lab.running("web");
  await lab.test.store.update((tx) => {
    const stored = tx.get("task", task?.id ?? "");
    if (stored !== undefined) tx.update("task", { ...stored, gatewayAddress: "100.64.0.2" });
  });
  await publish(lab, port(80, PublishMode.INGRESS));
  assert.equal(lab.service("web").endpoint?.ports[0]?.publishedPort, 30_000);
  await publish(lab, port(80, PublishMode.INGRESS), port(81, PublishMode.INGRESS));
  await lab.updateService("web", (spec) => ({
    ...spec,
    endpoint: EndpointSpec.fromPartial({ mode: "ENDPOINT_MODE_DNSRR" }),
  }));
  assert.deepEqual(
    lab.tasks("web").map(({ id }) => id),
    [task?.id],
  );
  assert.equal(lab.service("web").updateStatus, undefined);
  await lab.close();
});

test("a port of host mode, or the first one of a task without an address on the mesh, replaces the task", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(1) });
  await publish(lab, port(80, PublishMode.INGRESS));
  assert.deepEqual(
    lab.running("web").map((task) => task.createdBecause),
    ["update: published ports"],
  );
  assert.equal(lab.running("web")[0]?.endpoint?.ports[0]?.publishedPort, 30_000);
  await lab.advance(10_000);
  const [task] = lab.running("web");
  await publish(lab, port(80, PublishMode.INGRESS), port(81, PublishMode.HOST));
  assert.notEqual(lab.running("web")[0]?.id, task?.id);
  await lab.close();
});

test("a failing update pauses with the facts, and goes on with the next specification", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(3), update: config() });
  lab.run = breaks("app:bad");
  await lab.setImage("web", "app:bad");
  const status = lab.service("web").updateStatus;
  assert.equal(status?.state, UpdateState.PAUSED);
  assert.match(
    status?.message ?? "",
    new RegExp(
      "^update paused due to failure or early termination of task \\w{25}: web.1 on n1: exit code 1 " +
        "\\(1 of 3 updated tasks failed, none may\\); to go on, with or without changes: " +
        "docker service update web; to go back: docker service rollback web$",
    ),
  );
  await lab.advance(60_000);
  assert.deepEqual(images(lab), ["app:1", "app:1"], "the others stay");
  await lab.setImage("web", "app:3");
  await lab.advance(10_000);
  assert.deepEqual(images(lab), ["app:3", "app:3", "app:3"]);
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.COMPLETED);
  await lab.close();
});

test("a failing update rolls back and keeps the healthy old tasks", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const update = config({ failureAction: FailureAction.ROLLBACK });
  await lab.createService("web", { mode: replicas(3), update, rollback: config() });
  const untouched = lab
    .running("web")
    .slice(1)
    .map((task) => task.id);
  lab.run = breaks("app:bad");
  await lab.setImage("web", "app:bad");
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.ROLLBACK_STARTED);
  assert.match(
    lab.service("web").updateStatus?.message ?? "",
    /^update rolled back due to failure or early termination of task \w{25}: web.1 on n1: exit code 1 \(1 of 3/,
  );
  await lab.advance(10_000);
  assert.deepEqual(images(lab), ["app:1", "app:1", "app:1"]);
  assert.deepEqual(
    lab
      .running("web")
      .slice(1)
      .map((task) => task.id),
    untouched,
  );
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.ROLLBACK_COMPLETED);
  assert.match(
    lab.service("web").updateStatus?.message ?? "",
    /^rollback completed; update rolled back due to/,
  );
  assert.equal(lab.service("web").spec?.task?.container?.image, "app:1");
  await lab.close();
});

test("a rollback that fails too is paused", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const update = config({ failureAction: FailureAction.ROLLBACK });
  await lab.createService("web", { mode: replicas(2), update, rollback: config() });
  lab.run = () => ({ state: TaskState.FAILED, err: "exit code 9" });
  await lab.setImage("web", "app:bad");
  await lab.advance(10_000);
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.ROLLBACK_PAUSED);
  await lab.close();
});

test("failures within the allowed ratio let the update go on", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(4), update: config({ maxFailureRatio: 0.25 }) });
  let failed = false;
  lab.run = (task) => {
    if (failed || task.spec?.container?.image !== "app:2") return { state: TaskState.RUNNING };
    failed = true;
    return { state: TaskState.FAILED, err: "exit code 1" };
  };
  await lab.setImage("web", "app:2");
  await lab.advance(10_000);
  await lab.advance(10_000);
  assert.deepEqual(images(lab), Array(4).fill("app:2"));
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.COMPLETED);
  await lab.close();
});

test("a failure after the monitor period is an ordinary restart", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", {
    mode: replicas(2),
    update: config({ monitorMs: 1_000, delayMs: 10_000 }),
  });
  await lab.setImage("web", "app:2");
  await lab.advance(2_000);
  await lab.crash(lab.running("web").find((task) => task.spec?.container?.image === "app:2")?.id ?? "");
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.UPDATING);
  await lab.advance(20_000);
  await lab.advance(20_000);
  assert.deepEqual(images(lab), ["app:2", "app:2"]);
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.COMPLETED);
  await lab.close();
});

test("failure action continue goes on whatever happens", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", {
    mode: replicas(2),
    update: config({ failureAction: FailureAction.CONTINUE }),
  });
  lab.run = breaks("app:bad");
  await lab.setImage("web", "app:bad");
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.COMPLETED);
  await lab.close();
});

test("a global service is updated node by node", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2", "n3");
  await lab.createService("web", { mode: { $case: "global", value: {} }, update: config({ delayMs: 100 }) });
  await lab.updateService("web", (spec) => withImage(spec, "app:2"));
  assert.equal(images(lab).filter((image) => image === "app:2").length, 1);
  await lab.advance(100);
  await lab.advance(100);
  assert.deepEqual(images(lab), ["app:2", "app:2", "app:2"]);
  await lab.close();
});

test("a slot that finished is updated too", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  const task = { restart: { condition: "RESTART_CONDITION_NONE" } } as const;
  await lab.createService("web", { mode: replicas(1), task, update: config() });
  await lab.crash(lab.running("web")[0]?.id ?? "", 0);
  assert.deepEqual(images(lab), []);
  await lab.setImage("web", "app:2");
  assert.deepEqual(images(lab), ["app:2"]);
  await lab.close();
});

test("tasks that wait for a node are replaced by an update and vanish", async () => {
  const lab = new ControlLab();
  await lab.createService("web", { mode: replicas(2), update: config({ parallelism: 0 }) });
  await lab.setImage("web", "app:2");
  await lab.addNodes("n1");
  await lab.settle();
  await lab.advance(20_000);
  assert.deepEqual(lab.show("web"), [
    "1 n1 RUNNING/RUNNING app:2 update: image app:1 to app:2",
    "2 n1 RUNNING/RUNNING app:2 update: image app:1 to app:2",
  ]);
  await lab.close();
});

test("a rollback to something that no longer exists says what is missing and holds up nobody else", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createNetwork("old");
  const update = config({ failureAction: FailureAction.ROLLBACK });
  await lab.createService("web", { task: { networks: [{ target: "old" }] }, update });
  await lab.createService("other", {});
  lab.run = breaks("app:bad");
  await lab.test.store.update((tx) => {
    const service = tx.get("service", "web");
    if (service?.spec === undefined) return;
    const spec = withImage(service.spec, "app:bad");
    tx.update("service", {
      ...service,
      spec: { ...spec, task: spec.task && { ...spec.task, networks: [] } },
      previousSpec: withImage(service.spec, "app:1"),
    });
  });
  await lab.test.store.update((tx) => tx.remove("network", "old"));
  await lab.settle();
  await lab.scale("other", 2);
  assert.equal(lab.service("web").updateStatus?.state, UpdateState.ROLLBACK_STARTED);
  assert.ok(lab.tasks("web").some((task) => task.status?.err === "network old not found"));
  assert.equal(lab.running("other").length, 2);
  await lab.close();
});

test("a drained node's task moves start-first when the service updates start-first", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("web", { update: config({ order: UpdateOrder.START_FIRST }) });
  const home = lab.running("web")[0]?.nodeId ?? "";
  lab.run = () => ({ state: TaskState.STARTING });
  await lab.setAvailability(home, "NODE_AVAILABILITY_DRAIN");
  assert.deepEqual(
    lab.tasks("web").map((task) => [task.status?.state, task.desiredState]),
    [
      [TaskState.STARTING, TaskState.RUNNING],
      [TaskState.RUNNING, TaskState.RUNNING],
    ],
  );
  lab.run = () => ({ state: TaskState.RUNNING });
  await lab.settle();
  assert.equal(lab.running("web").length, 1);
  assert.notEqual(lab.running("web")[0]?.nodeId, home);
  await lab.close();
});

test("a new leader whose clock is behind goes on slot by slot", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("web", { mode: replicas(4), update: config() });
  lab.run = (task) => ({
    state: task.spec?.container?.image === "app:2" ? TaskState.STARTING : TaskState.RUNNING,
  });
  await lab.setImage("web", "app:2");
  assert.deepEqual(images(lab), ["app:1", "app:1", "app:1"]);
  lab.test.clock.advance(-3_000);
  await lab.changeLeader();
  lab.run = (task) => ({
    state: task.spec?.container?.image === "app:2" && task.slot > 1 ? TaskState.STARTING : TaskState.RUNNING,
  });
  await lab.settle();
  assert.deepEqual(images(lab).sort(), ["app:1", "app:1", "app:2"]);
  await lab.close();
});
