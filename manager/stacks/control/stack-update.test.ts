/**
 * What who watches a stack is told of troubles, and of the end.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Network, Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import { ServiceSpec, type TaskSpec, TaskState } from "../../../proto/gen/skein/v1/types.js";
import { STACK_LABEL } from "../../store/index-keys.js";
import { ONE, world } from "./stack-fixtures.js";
import { stackNews } from "./stack-update.js";

const specOf = (image: string): ServiceSpec =>
  ServiceSpec.fromPartial({
    annotations: { name: "shop_web", labels: { [STACK_LABEL]: "shop" } },
    mode: ONE,
    task: { container: { image } },
  });

function taskOf(id: string, image: string, state: TaskState, err = ""): Task {
  return Task.fromPartial({
    ...{ id, serviceId: "web", slot: 1, desiredState: TaskState.RUNNING },
    spec: specOf(image).task as TaskSpec, // given above
    status: { state, err },
  });
}

test("what ended a task of a former specification is no trouble of the present one", async () => {
  const { store, view } = await world();
  await store.update((tx) => {
    tx.create("service", Service.fromPartial({ id: "web", spec: specOf("app:1") }));
    tx.create("task", taskOf("t1", "app:1", TaskState.FAILED, "exit code 1"));
    tx.create("task", taskOf("t2", "app:1", TaskState.STARTING));
  });
  const trouble = () => view((tx) => stackNews(tx, "shop")).update.counts[0]?.trouble;
  assert.equal(trouble(), "shop_web.1: exit code 1");
  await store.update((tx) => {
    const service = tx.get("service", "web");
    if (service !== undefined) tx.update("service", { ...service, spec: specOf("app:2") });
    tx.remove("task", "t2");
    tx.create("task", taskOf("t3", "app:2", TaskState.STARTING));
  });
  assert.equal(trouble(), "");
});

test("a stack is gone with its last service, though others still use a network of it", async () => {
  const { store, view } = await world();
  const labels = { [STACK_LABEL]: "shop" };
  await store.update((tx) => {
    const spec = { annotations: { name: "shop_net", labels } };
    tx.create("network", Network.fromPartial({ id: "net", spec }));
  });
  assert.deepEqual(
    view((tx) => stackNews(tx, "shop")),
    { update: { stack: undefined, counts: [] }, isLast: true },
  );
});
