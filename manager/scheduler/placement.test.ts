/**
 * Where tasks go, and what is said when they go nowhere.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  NodeAvailability,
  NodeState,
  PublishMode,
  type TaskSpec,
  TaskState,
} from "../../proto/gen/skein/v1/types.js";
import { NodeSet } from "./node-set.js";
import { placeTasks } from "./placement.js";

type PartialOf<T> = T extends { fromPartial(object: infer P): unknown } ? P : never;
type NodePartial = PartialOf<typeof Node>;
type TaskPartial = PartialOf<typeof Task>;

function aNode(id: string, changes: NodePartial = {}): Node {
  return Node.fromPartial({
    id,
    status: { state: NodeState.READY },
    ...changes,
    description: {
      hostname: id,
      platform: { os: "linux", architecture: "amd64" },
      resources: { nanoCpus: 2e9, memoryBytes: 2 ** 30 },
      ...changes.description,
    },
  });
}

function aTask(id: string, changes: TaskPartial = {}): Task {
  return Task.fromPartial({
    id,
    serviceId: "web",
    slot: 1,
    desiredState: TaskState.RUNNING,
    allocated: true,
    status: { state: TaskState.PENDING },
    ...changes,
    spec: { container: { image: "app" }, ...changes.spec },
  });
}

function running(id: string, nodeId: string, changes: TaskPartial = {}): Task {
  return aTask(id, { nodeId, status: { state: TaskState.RUNNING }, ...changes });
}

function many(count: number, changes: TaskPartial = {}): Task[] {
  return Array.from({ length: count }, (_, i) => aTask(`t${i}`, changes));
}

function countByNode(placed: readonly { nodeId: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { nodeId } of placed) counts[nodeId] = (counts[nodeId] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function reasonFor(nodes: readonly Node[], task: Task, others: readonly Task[] = []): string | undefined {
  return placeTasks(NodeSet.from(nodes, others), [task]).unplaced[0]?.reason;
}

const reserve = (memoryBytes: number): Pick<TaskSpec, "resources"> => ({
  resources: {
    limits: undefined,
    reservations: { nanoCpus: 0, memoryBytes, generic: [] },
    limitPids: 0,
  },
});

test("tasks of a service spread evenly, then to the less loaded nodes", () => {
  const nodes = ["a", "b", "c"].map((id) => aNode(id));
  const others = [running("x1", "a", { serviceId: "other" }), running("x2", "a", { serviceId: "other" })];
  const { placed } = placeTasks(NodeSet.from(nodes, others), many(7));
  assert.deepEqual(countByNode(placed), { a: 2, b: 3, c: 2 });
});

test("a single task goes to a node without the service, the least loaded first", () => {
  const nodes = ["a", "b", "c"].map((id) => aNode(id));
  const others = [
    running("w", "c"),
    running("x1", "a", { serviceId: "other" }),
    running("x2", "a", { serviceId: "other" }),
    running("x3", "b", { serviceId: "other" }),
  ];
  const place = (): string | undefined =>
    placeTasks(NodeSet.from(nodes, others), [aTask("t")]).placed[0]?.nodeId;
  assert.equal(place(), "b");
  others.push(running("w2", "b"), running("w3", "a"), running("w4", "a"), running("w5", "b"));
  assert.equal(place(), "c");
});

test("a refusal counts the nodes per reason and gives figures", () => {
  const nodes = [
    aNode("a", { status: { state: NodeState.DOWN } }),
    aNode("b", { spec: { availability: NodeAvailability.DRAIN } }),
    aNode("c", { description: { resources: { memoryBytes: 2 ** 28 } } }),
  ];
  assert.equal(
    reasonFor(nodes, aTask("t", { spec: reserve(2 ** 29) })),
    "no suitable node (2 nodes not available for new tasks, 1 node lacks 512 MiB of memory)",
  );
  assert.equal(reasonFor([], aTask("t")), "no suitable node (the cluster has no node)");
});

test("each filter says its own reason", () => {
  const ready = [aNode("a"), aNode("b")];
  const placement = { constraints: [], spreadPreferences: [], platforms: [], maxReplicas: 0 };
  const hostPort = { publishMode: PublishMode.HOST, publishedPort: 80, targetPort: 80 };
  const ports = { endpoint: { spec: { ports: [hostPort] } } };
  const gpus = {
    reservations: { generic: [{ kind: "gpu", value: { $case: "discrete", value: 2 } as const }] },
  };
  for (const [task, others, reason] of [
    [
      { spec: { placement: { ...placement, constraints: ["node.role == manager"] } } },
      [],
      "2 nodes do not meet node.role == manager",
    ],
    [
      { spec: { placement: { ...placement, platforms: [{ os: "linux", architecture: "arm64" }] } } },
      [],
      "2 nodes are not linux/arm64",
    ],
    [{ spec: { resources: { reservations: { nanoCpus: 25e8 } } } }, [], "2 nodes lack 2.5 free CPUs"],
    [{ spec: { resources: gpus } }, [], "2 nodes lack 2 gpu"],
    [ports, [running("p1", "a", ports), running("p2", "b", ports)], "host port 80 already in use on 2 nodes"],
    [
      { spec: { placement: { ...placement, maxReplicas: 1 } } },
      [running("r1", "a"), running("r2", "b")],
      "2 nodes have the most replicas allowed per node (1)",
    ],
    [
      { spec: { placement: { ...placement, constraints: ["bad"] } } },
      [],
      'constraint "bad" must be KEY == VALUE or KEY != VALUE',
    ],
  ] as const) {
    assert.equal(reasonFor(ready, aTask("t", task as TaskPartial), others), `no suitable node (${reason})`);
  }
});

test("reserved memory is held until the task has ended", () => {
  const spec = reserve(2 ** 29);
  const set = NodeSet.from([aNode("a")], []);
  const { placed, unplaced } = placeTasks(set, many(3, { spec }));
  assert.deepEqual([placed.length, unplaced.length], [2, 1]);
  const stopping = running("t0", "a", { spec, desiredState: TaskState.SHUTDOWN });
  set.syncTask("t0", stopping);
  assert.equal(placeTasks(set, [aTask("t2", { spec })]).placed.length, 0);
  assert.equal(
    placeTasks(set, [aTask("t2", { spec, replacesTaskId: "t0" })]).placed.length,
    1,
    "its successor may",
  );
});

test("named generic resources are given out by name and only once", () => {
  const generic = ["g1", "g2", "g3"].map((value) => ({
    kind: "gpu",
    value: { $case: "named", value } as const,
  }));
  const nodes = [aNode("a", { description: { resources: { generic } } })];
  const want = {
    resources: {
      reservations: { generic: [{ kind: "gpu", value: { $case: "discrete", value: 2 } as const }] },
    },
  };
  const { placed, unplaced } = placeTasks(NodeSet.from(nodes, []), many(2, { spec: want }));
  assert.deepEqual(
    placed[0]?.generic.map(({ value }) => value?.value),
    ["g1", "g2"],
  );
  assert.equal(unplaced[0]?.reason, "no suitable node (1 node lacks 2 gpu)");
});

test("spread preferences balance the branches, whatever their number of nodes", () => {
  const zone = (id: string, value: string, rack: string): Node =>
    aNode(id, { spec: { annotations: { labels: { zone: value, rack } } } });
  const nodes = [zone("a1", "a", "1"), zone("b1", "b", "1"), zone("b2", "b", "1"), zone("b3", "b", "2")];
  const placement = { constraints: [], platforms: [], maxReplicas: 0 };
  const byZone = { placement: { ...placement, spreadPreferences: ["node.labels.zone"] } };
  assert.deepEqual(countByNode(placeTasks(NodeSet.from(nodes, []), many(6, { spec: byZone })).placed), {
    a1: 3,
    b1: 1,
    b2: 1,
    b3: 1,
  });
  const both = { placement: { ...placement, spreadPreferences: ["node.labels.zone", "node.labels.rack"] } };
  assert.deepEqual(countByNode(placeTasks(NodeSet.from(nodes, []), many(8, { spec: both })).placed), {
    a1: 4,
    b1: 1,
    b2: 1,
    b3: 2,
  });
});

test("max replicas per node bound a group", () => {
  const placement = { constraints: [], spreadPreferences: [], platforms: [], maxReplicas: 2 };
  const { placed, unplaced } = placeTasks(
    NodeSet.from([aNode("a"), aNode("b")], []),
    many(5, { spec: { placement } }),
  );
  assert.deepEqual(countByNode(placed), { a: 2, b: 2 });
  assert.equal(unplaced[0]?.reason, "no suitable node (2 nodes have the most replicas allowed per node (2))");
});

test("a task that names its node goes there or nowhere", () => {
  const nodes = [aNode("a", { spec: { availability: NodeAvailability.PAUSE } }), aNode("b")];
  assert.equal(
    reasonFor(nodes, aTask("t", { nodeId: "a" })),
    "no suitable node (1 node not available for new tasks)",
  );
  assert.equal(reasonFor(nodes, aTask("t", { nodeId: "b" })), undefined);
  assert.equal(
    reasonFor(nodes, aTask("t", { nodeId: "z" })),
    "no suitable node (node z is not in the cluster)",
  );
});

test("an incremental node set equals one made anew", () => {
  const ids = ["a", "b", "c"];
  const step = fc.record({
    task: fc.constantFrom("t1", "t2", "t3", "t4"),
    node: fc.constantFrom(...ids),
    state: fc.constantFrom(TaskState.PENDING, TaskState.RUNNING, TaskState.FAILED),
    desired: fc.constantFrom(TaskState.RUNNING, TaskState.SHUTDOWN),
    gone: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const nodes = ids.map((id) => aNode(id));
      const set = NodeSet.from(nodes, []);
      const tasks = new Map<string, Task>();
      for (const { task: id, node, state, desired, gone } of steps) {
        const spec = reserve(2 ** 20);
        const task = aTask(id, { nodeId: node, desiredState: desired, status: { state }, spec });
        if (gone) tasks.delete(id);
        else tasks.set(id, task);
        set.syncTask(id, tasks.get(id));
      }
      const fresh = NodeSet.from(nodes, [...tasks.values()]);
      const describe = (from: NodeSet): unknown =>
        ids.map((id) => {
          const info = from.get(id);
          return [
            info?.taskCount,
            info?.serviceCount("web"),
            [info?.freeNanoCpus(), info?.freeMemoryBytes()],
            [...(info?.held.keys() ?? [])].sort(),
          ];
        });
      assert.deepEqual(describe(set), describe(fresh));
    }),
  );
});
