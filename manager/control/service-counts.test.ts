import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { countTasks } from "./service-counts.js";

test("tasks on a node that is down do not run, those on a disconnected one do", () => {
  const states = { up: NodeState.READY, away: NodeState.DISCONNECTED, down: NodeState.DOWN };
  const nodes = Object.entries(states).map(([id, state]) => Node.fromPartial({ id, status: { state } }));
  const service = Service.fromPartial({ spec: { mode: { $case: "replicated", value: { replicas: 3 } } } });
  const tasks = nodes.map(({ id }) =>
    Task.fromPartial({
      id,
      nodeId: id,
      desiredState: TaskState.RUNNING,
      status: { state: TaskState.RUNNING },
    }),
  );
  const counts = countTasks(service, { tasks, node: (id) => nodes.find((node) => node.id === id) });
  assert.deepEqual(counts, { running: 2, desired: 3, completed: 0 });
});
