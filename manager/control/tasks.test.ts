import assert from "node:assert/strict";
import { test } from "node:test";
import { ListTasksRequest } from "../../proto/gen/skein/v1/control.js";
import { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskSpec, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestControl, serviceSpec, type TestControl } from "./control-fixtures.js";

async function world(): Promise<TestControl> {
  const t = await createTestControl({ managers: 2 });
  await t.store.update((tx) => {
    tx.create("service", Service.fromPartial({ id: "svc1", spec: serviceSpec("web") }));
    tx.create("service", Service.fromPartial({ id: "svc2", spec: serviceSpec("api") }));
  });
  const spec = serviceSpec("web").task;
  const old = TaskSpec.fromPartial({ container: { image: "old", pullAuth: "secret" } });
  await t.store.update((tx) => {
    const make = (fields: Parameters<typeof Task.fromPartial>[0]): void =>
      tx.create("task", Task.fromPartial(fields));
    make({
      id: "ta",
      serviceId: "svc1",
      slot: 1,
      nodeId: "m1",
      spec,
      desiredState: TaskState.RUNNING,
      serviceAnnotations: { name: "web" },
    });
    make({
      id: "tb",
      serviceId: "svc1",
      slot: 2,
      nodeId: "m2",
      spec: old,
      desiredState: TaskState.SHUTDOWN,
      serviceAnnotations: { name: "web" },
    });
    make({
      id: "tc",
      serviceId: "svc2",
      slot: 1,
      nodeId: "m2",
      spec,
      desiredState: TaskState.RUNNING,
      serviceAnnotations: { name: "api", labels: { a: "1" } },
    });
  });
  return t;
}

test("tasks are listed by service, node, state, name, label and id", async () => {
  const t = await world();
  const ids = async (request: Parameters<typeof ListTasksRequest.fromPartial>[0]): Promise<string> =>
    (await t.ask(t.control.listTasks, ListTasksRequest.fromPartial(request))).tasks
      .map(({ id }) => id)
      .join(" ");
  assert.equal(await ids({}), "ta tb tc");
  assert.equal(await ids({ serviceIds: ["web"] }), "ta tb");
  assert.equal(await ids({ serviceIds: ["svc2", "api"] }), "tc");
  assert.equal(await ids({ serviceIds: ["none"] }), "");
  assert.equal(await ids({ nodeIds: ["host-m2"] }), "tb tc");
  assert.equal(await ids({ serviceIds: ["svc"], nodeIds: ["m2"] }), "tb tc");
  assert.equal(await ids({ desiredStates: ["shutdown"] }), "tb");
  assert.equal(await ids({ desiredStates: ["running", "shutdown"], serviceIds: ["web"] }), "ta tb");
  assert.equal(await ids({ filters: { names: ["web.2"] } }), "tb");
  assert.equal(await ids({ filters: { labels: { a: "1" } } }), "tc");
  assert.equal(await ids({ filters: { ids: ["tb"] } }), "tb");
  assert.equal(await ids({ serviceIds: ["web"], upToDateOnly: true }), "ta");
});

test("an unknown desired state is refused", async () => {
  const t = await world();
  const request = ListTasksRequest.fromPartial({ desiredStates: ["happy"] });
  await assert.rejects(t.ask(t.control.listTasks, request), {
    code: "invalid-argument",
    message: "invalid filter 'desired-state=happy'",
  });
});

test("a task is found by id and prefix, without its pull credentials", async () => {
  const t = await world();
  const { task } = await t.ask(t.control.getTask, { id: "tb" });
  assert.equal(task?.spec?.container?.image, "old");
  assert.equal(task.spec.container.pullAuth, "");
  await assert.rejects(t.ask(t.control.getTask, { id: "zz" }), /task zz not found/);
});
