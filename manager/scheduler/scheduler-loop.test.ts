/**
 * The scheduler on a store: what a task is told, when, and how often.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskPhase, TaskState } from "../../proto/gen/skein/v1/types.js";
import { createTestStore, type TestStore } from "../../test/support/test-store.js";
import { createScheduler } from "./scheduler-loop.js";

function aNode(id: string, memoryBytes: number, availability?: NodeAvailability): Node {
  return Node.fromPartial({
    id,
    status: { state: NodeState.READY },
    spec: { availability: availability ?? NodeAvailability.ACTIVE },
    description: { hostname: id, resources: { memoryBytes } },
  });
}

function aTask(id: string, memoryBytes: number): Task {
  return Task.fromPartial({
    id,
    serviceId: "web",
    slot: 1,
    specVersion: { index: 1 },
    allocated: true,
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.PENDING },
    spec: { resources: { reservations: { memoryBytes } } },
  });
}

interface Lab extends TestStore, AsyncDisposable {
  /** Makes the change and lets the scheduler react. */
  after(change: (store: TestStore["store"]) => Promise<unknown>): Promise<void>;
  task(id: string): Task;
}

async function lab(nodes: readonly Node[], tasks: readonly Task[]): Promise<Lab> {
  const base = createTestStore();
  const { store } = base;
  await store.batch(nodes, (tx, node) => tx.create("node", node));
  await store.batch(tasks, (tx, task) => tx.create("task", task));
  const loop = createScheduler({ ...base });
  loop.start();
  await loop.idle();
  return {
    ...base,
    after: async (change) => {
      await change(store);
      await loop.idle();
    },
    task: (id) => {
      const found = store.view((tx) => tx.get("task", id));
      assert.ok(found !== undefined);
      return found;
    },
    [Symbol.asyncDispose]: () => loop.close(),
  };
}

const LACKS_5 = { filter: "memory", nodes: 1, detail: "lacks 5 B of memory" };

test("a wait is open from the first refusal until the task has a node, with the refusals of now", async () => {
  await using world = await lab([aNode("n1", 1)], [aTask("t", 5)]);
  const sinceMs = world.clock.nowMs();
  const message = "no suitable node (1 node lacks 5 B of memory)";
  const first = world.task("t");
  assert.equal(first.status?.err, message);
  assert.deepEqual(first.waits, [
    { cause: "no-suitable-node", message, sinceMs, untilMs: 0, refusals: [LACKS_5] },
  ]);
  world.clock.advance(1_000);
  await world.after((store) =>
    store.update((tx) => tx.create("node", aNode("n2", 9, NodeAvailability.PAUSE))),
  );
  const paused = { filter: "readiness", nodes: 1, detail: "not available for new tasks" };
  assert.deepEqual(world.task("t").waits, [
    {
      cause: "no-suitable-node",
      message: "no suitable node (1 node not available for new tasks, 1 node lacks 5 B of memory)",
      sinceMs,
      untilMs: 0,
      refusals: [paused, LACKS_5],
    },
  ]);
  world.clock.advance(1_000);
  await world.after((store) =>
    store.update((tx) => {
      const node = tx.get("node", "n2");
      assert.ok(node?.spec !== undefined);
      tx.update("node", { ...node, spec: { ...node.spec, availability: NodeAvailability.ACTIVE } });
    }),
  );
  const placed = world.task("t");
  assert.equal(placed.nodeId, "n2");
  assert.equal(placed.status?.state, TaskState.ASSIGNED);
  assert.equal(placed.status?.err, "");
  assert.deepEqual(placed.status?.phases, [{ phase: TaskPhase.SCHEDULED, atMs: sinceMs + 2_000 }]);
  assert.deepEqual(
    placed.waits.map((wait) => [wait.sinceMs, wait.untilMs]),
    [[sinceMs, sinceMs + 2_000]],
  );
});

test("a task that waits is written once, whatever else happens to tasks and nodes", async () => {
  const other = { ...aTask("other", 0), nodeId: "n1" };
  await using world = await lab([aNode("n1", 1)], [aTask("t", 5), other]);
  const version = world.task("t").meta?.version?.index;
  for (const state of [TaskState.ACCEPTED, TaskState.RUNNING, TaskState.FAILED]) {
    await world.after((store) =>
      store.update((tx) => {
        const task = tx.get("task", "other");
        assert.ok(task?.status !== undefined);
        tx.update("task", { ...task, status: { ...task.status, state } });
      }),
    );
  }
  await world.after((store) =>
    store.update((tx) => {
      const node = tx.get("node", "n1");
      assert.ok(node !== undefined);
      tx.update("node", { ...node, number: 3 });
    }),
  );
  assert.equal(world.task("t").meta?.version?.index, version);
});

test("of many tasks that wait alike, as many as fit are placed when room comes, and the rest wait on", async () => {
  const tasks = Array.from({ length: 30 }, (_, i) => aTask(`t${String(i).padStart(2, "0")}`, 5));
  await using world = await lab([aNode("n1", 1)], tasks);
  const told = world.task("t29").meta?.version?.index;
  await world.after((store) => store.update((tx) => tx.create("node", aNode("n2", 12))));
  const states = tasks.map(({ id }) => world.task(id).nodeId);
  assert.deepEqual(states.slice(0, 3), ["n2", "n2", ""]);
  assert.ok(states.slice(2).every((nodeId) => nodeId === ""));
  assert.ok((world.task("t02").meta?.version?.index ?? 0) > (told ?? 0), "two nodes lack memory now");
  await world.after((store) => store.update((tx) => tx.remove("task", "t00")));
  assert.equal(world.task("t02").nodeId, "n2");
});

test("a new leader's scheduler starts from the store alone", async () => {
  await using world = await lab([aNode("n1", 10)], [aTask("t1", 5), aTask("t2", 5), aTask("t3", 5)]);
  const second = createScheduler({ ...world });
  second.start();
  await second.idle();
  await second.close();
  const placed = ["t1", "t2", "t3"].map((id) => world.task(id).nodeId);
  assert.deepEqual(placed.sort(), ["", "n1", "n1"]);
});
