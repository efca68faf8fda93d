import assert from "node:assert/strict";
import { test } from "node:test";
import { FailedPreconditionError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore } from "../../test/support/test-store.js";
import { findContainer } from "./find-container.js";

async function setUp() {
  const { store } = createTestStore();
  await store.update((tx) => {
    tx.create("service", Service.fromPartial({ id: "s1", spec: { annotations: { name: "web" } } }));
    tx.create("service", Service.fromPartial({ id: "s2", spec: { annotations: { name: "agent" } } }));
    tx.create("node", Node.fromPartial({ id: "n1", description: { hostname: "host1.example" } }));
    tx.create("node", Node.fromPartial({ id: "n2", description: { hostname: "host2" } }));
    const task = (id: string, rest: Parameters<typeof Task.fromPartial>[0], containerId: string): void =>
      tx.create(
        "task",
        Task.fromPartial({
          ...rest,
          id,
          status: { state: TaskState.RUNNING, ...rest.status, container: { containerId } },
        }),
      );
    const web = { serviceId: "s1", serviceAnnotations: { name: "web" }, nodeId: "n1" };
    const agent = { serviceId: "s2", serviceAnnotations: { name: "agent" } };
    task("oldtask", { ...web, slot: 1, status: { state: TaskState.FAILED } }, "aaaa1111");
    task("newtask", { ...web, slot: 1 }, "aaaa2222");
    task("waiting", { ...web, slot: 2, status: { state: TaskState.PENDING, err: "no suitable node" } }, "");
    task("global1", { ...agent, nodeId: "n1" }, "bbbb1111");
    task("global2", { ...agent, nodeId: "n2" }, "bbbb2222");
  });
  return (name: string) => store.view((view) => findContainer(view, name));
}

test("a container is found by its id, its task and its name, the one that runs before others", async () => {
  const find = await setUp();
  for (const name of ["newtask", "web.1", "/web.1", "web.1.newtask", "aaaa2222", "aaaa2", "newt"])
    assert.equal(find(name).taskId, "newtask", name);
  assert.equal(find("web.1.oldtask").taskId, "oldtask");
  for (const name of ["agent.n2", "agent.host2", "agent.n2.global2"])
    assert.equal(find(name).taskId, "global2", name);
  assert.deepEqual(find("agent.host1.example"), {
    ...{ nodeId: "n1", hostname: "host1.example", taskId: "global1" },
    ...{ taskName: "agent.n1", containerId: "bbbb1111" },
  });
});

test("what is nobody's, several tasks' or has no container is refused in words", async () => {
  const find = await setUp();
  for (const name of ["", "web", "web.", "web.3", "web.1.global1", "other.1", "aaa", "cccc"])
    assert.throws(() => find(name), NotFoundError, name);
  assert.throws(() => find("aaaa"), InvalidArgumentError);
  assert.throws(
    () => find("web.2"),
    (error: Error) => {
      assert.ok(error instanceof FailedPreconditionError);
      assert.equal(error.message, "task web.2 has no container yet: it is pending (no suitable node)");
      return true;
    },
  );
});
