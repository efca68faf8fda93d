/**
 * What the cluster would do if something were so.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, PlacementStrategy, TaskState, UpdateOrder } from "../../proto/gen/skein/v1/types.js";
import { type WhatIfAnswer, whatIf } from "./what-if.js";
import type { ClusterPicture, Supposition } from "./what-if-question.js";

type PartialOf<T> = T extends { fromPartial(object: infer P): unknown } ? P : never;

function aNode(id: string): Node {
  return Node.fromPartial({
    id,
    status: { state: NodeState.READY },
    description: {
      hostname: id,
      platform: { os: "linux", architecture: "amd64" },
      resources: { nanoCpus: 2e9, memoryBytes: 2 ** 30 },
    },
  });
}

interface Shape {
  readonly replicas?: number;
  readonly memoryBytes?: number;
  readonly image?: string;
  readonly order?: UpdateOrder;
}

function aService(id: string, shape: Shape = {}): Service {
  const { replicas, memoryBytes = 0, image = "app", order = UpdateOrder.STOP_FIRST } = shape;
  return Service.fromPartial({
    id,
    specVersion: { index: 1 },
    spec: {
      annotations: { name: id },
      task: { container: { image }, resources: { reservations: { memoryBytes } } },
      update: { order },
      mode:
        replicas === undefined
          ? { $case: "global", value: {} }
          : { $case: "replicated", value: { replicas } },
    },
  });
}

function runningTask(service: Service, slot: number, nodeId: string): Task {
  const changes: PartialOf<typeof Task> = {
    id: `${service.id}.${slot || nodeId}`,
    serviceId: service.id,
    specVersion: { index: 1 },
    slot,
    nodeId,
    allocated: true,
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.RUNNING },
  };
  return { ...Task.fromPartial(changes), spec: service.spec?.task };
}

function picture(nodes: string, services: readonly Service[], tasks: readonly Task[]): ClusterPicture {
  return {
    nodes: [...nodes].map(aNode),
    services,
    tasks,
    networks: [],
    placementStrategy: PlacementStrategy.DEFAULT,
  };
}

async function ask(from: ClusterPicture, ...suppositions: Supposition[]): Promise<readonly string[]> {
  return told(await whatIf({ picture: from, suppositions, nowMs: 0 }));
}

function told({ outcomes }: WhatIfAnswer): readonly string[] {
  return outcomes.map(({ kind, detail, before, after, nodeId, refusal }) => {
    const from = before === undefined ? "" : ` ${before.id} leaves ${before.nodeId}`;
    const to = after === undefined ? "" : ` new on ${nodeId ?? "none"}`;
    const why = refusal === undefined ? "" : `: ${refusal.reason}`;
    return `${kind}${detail === "" ? "" : ` (${detail})`}${from}${to}${why}`;
  });
}

test("a drain moves what fits and says why the rest does not; nothing is touched", async () => {
  const web = aService("web", { replicas: 3, memoryBytes: 2 ** 29 });
  const tasks = [runningTask(web, 1, "a"), runningTask(web, 2, "a"), runningTask(web, 3, "b")];
  const from = picture("ab", [web], tasks);
  const copy = structuredClone(from);
  assert.deepEqual(await ask(from, { kind: "nodeDrained", nodeId: "a" }), [
    "node (a is drained) web.1 leaves a new on b",
    "node (a is drained) web.2 leaves a new on none: no suitable node (1 node not available for new tasks, " +
      "1 node lacks 512 MiB of memory)",
  ]);
  assert.deepEqual(from, copy);
});

test("the loss of a node ends the task of a global service and moves the others", async () => {
  const [agents, web] = [aService("agents"), aService("web", { replicas: 1 })];
  const tasks = [runningTask(agents, 0, "a"), runningTask(agents, 0, "b"), runningTask(web, 1, "a")];
  assert.deepEqual(await ask(picture("ab", [agents, web], tasks), { kind: "nodeLost", nodeId: "a" }), [
    "node (a is down) agents.a leaves a",
    "node (a is down) web.1 leaves a new on b",
  ]);
});

test("a node that is added gets a task of each global service", async () => {
  const agents = aService("agents");
  const from = picture("a", [agents], [runningTask(agents, 0, "a")]);
  assert.deepEqual(await ask(from, { kind: "node", node: aNode("b") }), ["node new on b"]);
});

test("a new service, one with more replicas and one with less", async () => {
  const web = aService("web", { replicas: 2 });
  const from = picture("ab", [web], [runningTask(web, 1, "a"), runningTask(web, 2, "a")]);
  const api = aService("api", { replicas: 2, memoryBytes: 2 ** 30 });
  assert.deepEqual(await ask(from, { kind: "service", service: api }), [
    "create new on b",
    "create new on a",
  ]);
  const scale = (replicas: number): Supposition => ({ kind: "scale", serviceId: "web", replicas });
  assert.deepEqual(await ask(from, scale(3)), ["scale (2 to 3 replicas) new on b"]);
  assert.deepEqual(await ask(from, scale(1)), ["scale (2 to 1 replicas) web.2 leaves a"]);
  assert.deepEqual(await ask(from, scale(2)), []);
});

test("an update start-first needs room beside the old task, stop-first does not", async () => {
  for (const order of [UpdateOrder.START_FIRST, UpdateOrder.STOP_FIRST]) {
    const web = aService("web", { replicas: 1, memoryBytes: 2 ** 30, order });
    const from = picture("a", [web], [runningTask(web, 1, "a")]);
    const service = aService("web", { replicas: 1, memoryBytes: 2 ** 30, order, image: "newer" });
    assert.deepEqual(await ask(from, { kind: "service", service }), [
      order === UpdateOrder.STOP_FIRST
        ? "update web.1 leaves a new on a"
        : "update web.1 leaves a new on none: no suitable node (1 node lacks 1 GiB of memory)",
    ]);
  }
});

test("a removed service makes room for a task that waits", async () => {
  const [big, web] = ["big", "web"].map((id) => aService(id, { replicas: 1, memoryBytes: 2 ** 30 }));
  assert.ok(big !== undefined && web !== undefined);
  const waits: Task = {
    ...runningTask(web, 1, ""),
    status: Task.fromPartial({ status: { state: TaskState.PENDING } }).status,
  };
  const from = picture("a", [big, web], [runningTask(big, 1, "a"), waits]);
  assert.deepEqual(await ask(from, { kind: "serviceRemoved", serviceId: "big" }), [
    "remove (the service is removed) big.1 leaves a",
    "pending new on a",
  ]);
  await assert.rejects(ask(from, { kind: "nodeLost", nodeId: "z" }), /node z not found/);
});
