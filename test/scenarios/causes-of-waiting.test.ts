/**
 * What people and programs are told about tasks that wait, move, or were stopped: one table of situations,
 * each made by the control loops, with the exact words: the task's cause and sentence, what
 * `docker service ps` shows as its error, what can be done, and the service's headline.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  EndpointMode,
  FailureAction,
  NodeAvailability,
  NodeState,
  PublishMode,
  RestartCondition,
  TaskState,
  type TaskStatus,
  UpdateOrder,
} from "../../proto/gen/skein/v1/types.js";
import { ControlLab, type ServiceSpecPartial } from "../support/control-lab.js";
import { tell } from "./cause-telling.js";
import { readTold, toldText } from "./fs-told-table.js";

const replicas = (count: number) => ({ $case: "replicated", value: { replicas: count } }) as const;
const GLOBAL = { $case: "global", value: {} } as const;
type TaskPartial = NonNullable<ServiceSpecPartial["task"]>;

interface Situation {
  readonly name: string;
  readonly nodes?: readonly string[];
  readonly arrange: (lab: ControlLab) => Promise<void>;
  /** Which of the service's tasks, newest of slot 1 first. @default 0 */
  readonly at?: number;
}

const web = (
  lab: ControlLab,
  task: TaskPartial = {},
  more: Partial<ServiceSpecPartial> = {},
): Promise<void> => lab.createService("web", { mode: replicas(1), ...more, task });
const asks = (constraint: string): TaskPartial => ({ placement: { constraints: [constraint] } });
const reserves = (reservations: NonNullable<TaskPartial["resources"]>["reservations"]): TaskPartial => ({
  resources: { reservations },
});
const first = (lab: ControlLab): string => lab.tasks("web")[0]?.id ?? "";
const drain = (lab: ControlLab, id: string): Promise<void> => lab.setAvailability(id, NodeAvailability.DRAIN);
/** Agents prepare, and then wait to be told. */
const stuckAt = (state: TaskState) => (): { state: TaskState; message: string } => ({ state, message: "" });

const failsAs =
  (image: string) =>
  (task: Task): Partial<TaskStatus> =>
    task.spec?.container?.image === image
      ? { state: TaskState.FAILED, message: "failed", err: "task: non-zero exit (2)", cause: "exit-nonzero" }
      : { state: TaskState.RUNNING, message: "started" };
const withLabel = (node: Node, zone: string): Node => ({
  ...node,
  spec: node.spec && { ...node.spec, annotations: { name: "", labels: { zone } } },
});

const SITUATIONS: readonly Situation[] = [
  { name: "no nodes at all", nodes: [], arrange: (lab) => web(lab) },
  {
    name: "all nodes drained, one down",
    nodes: ["n1", "n2", "n3"],
    arrange: async (lab) => {
      await drain(lab, "n1");
      await drain(lab, "n2");
      await lab.nodeDown("n3");
      await web(lab);
    },
  },
  {
    name: "the only node paused",
    arrange: async (lab) => {
      await lab.setAvailability("n1", NodeAvailability.PAUSE);
      await web(lab);
    },
  },
  {
    name: "a label that no node has",
    nodes: ["n1", "n2"],
    arrange: (lab) => web(lab, asks("node.labels.zone==east")),
  },
  { name: "a host that is not there", arrange: (lab) => web(lab, asks("node.hostname==n9")) },
  {
    name: "a constraint, and the node that meets it is drained",
    nodes: ["n1", "n2"],
    arrange: async (lab) => {
      await drain(lab, "n1");
      await web(lab, asks("node.hostname==n1"));
    },
  },
  { name: "memory", nodes: ["n1", "n2"], arrange: (lab) => web(lab, reserves({ memoryBytes: 2 ** 33 })) },
  { name: "cpu", arrange: (lab) => web(lab, reserves({ nanoCpus: 64e9 })) },
  {
    name: "generic resources",
    arrange: (lab) =>
      web(lab, reserves({ generic: [{ kind: "gpu", value: { $case: "discrete", value: 2 } }] })),
  },
  {
    name: "a host port that another task holds",
    arrange: async (lab) => {
      const ports = [{ publishedPort: 80, targetPort: 80, publishMode: PublishMode.HOST }];
      await lab.createService("first", { endpoint: { ports } });
      await web(lab, {}, { endpoint: { ports } });
    },
  },
  {
    name: "the most replicas per node",
    arrange: async (lab) => web(lab, { placement: { maxReplicas: 1 } }, { mode: replicas(2) }),
    at: 1,
  },
  {
    name: "platform",
    arrange: (lab) => web(lab, { placement: { platforms: [{ os: "linux", architecture: "arm64" }] } }),
  },
  {
    name: "volume driver",
    arrange: async (lab) => {
      await lab.updateNode("n1", (node) => ({
        ...node,
        description: node.description && {
          ...node.description,
          plugins: [{ type: "Volume", name: "local" }],
        },
      }));
      const volumeOptions = { driverName: "cephfs" };
      await web(lab, {
        container: { image: "app:1", mounts: [{ type: "volume", source: "v", target: "/v", volumeOptions }] },
      });
    },
  },
  {
    name: "log plugin",
    arrange: async (lab) => {
      await lab.updateNode("n1", (node) => ({
        ...node,
        description: node.description && {
          ...node.description,
          plugins: [{ type: "Log", name: "json-file" }],
        },
      }));
      await web(lab, { logDriver: { name: "splunk" } });
    },
  },
  {
    name: "device",
    arrange: (lab) => web(lab, { container: { image: "app:1", devices: ["acme.com/tpu=0"] } }),
  },
  {
    name: "no free address, with figures",
    arrange: async (lab) => {
      await lab.createNetwork("tiny", "10.77.0.0/29");
      await web(lab, { networks: [{ target: "tiny" }] }, { mode: replicas(9) });
    },
    at: 8,
  },
  {
    name: "a published port in use",
    arrange: async (lab) => {
      await lab.createService("shop", { endpoint: { ports: [{ targetPort: 80 }] } });
      await web(lab, {}, { endpoint: { ports: [{ publishedPort: 30000, targetPort: 80 }] } });
    },
  },
  {
    name: "a network without a subnet",
    arrange: async (lab) => {
      await lab.createNetwork("bad", "10.88.0.0/33");
      await web(lab, { networks: [{ target: "bad" }] }, { endpoint: { mode: EndpointMode.DNSRR } });
    },
  },
  {
    name: "the allocator has not looked",
    arrange: async (lab) => {
      await web(lab);
      await lab.setStatus(first(lab), { state: TaskState.NEW, err: "" });
      await lab.test.store.update((tx) => {
        const task = tx.get("task", first(lab));
        if (task) tx.update("task", { ...task, nodeId: "", allocated: true });
      });
    },
  },
  {
    name: "a global service on a node without room",
    arrange: (lab) => web(lab, reserves({ memoryBytes: 2 ** 33 }), { mode: GLOBAL }),
  },
  {
    name: "the node has not answered",
    arrange: async (lab) => {
      lab.silent.add("n1");
      await web(lab);
      await lab.advance(42_000);
    },
  },
  {
    name: "image and network are fetched",
    arrange: async (lab) => {
      lab.run = stuckAt(TaskState.PREPARING);
      await web(lab);
      await lab.advance(95_000);
    },
  },
  {
    name: "no health check has passed",
    arrange: async (lab) => {
      lab.run = stuckAt(TaskState.STARTING);
      await web(lab, { container: { image: "app:1", healthcheck: { test: ["CMD", "true"] } } });
      await lab.advance(61_000);
    },
  },
  {
    name: "it runs",
    arrange: async (lab) => {
      await web(lab);
      await lab.advance(2 * 3_600_000 + 5 * 60_000);
    },
  },
  {
    name: "node down, another takes over: the successor",
    nodes: ["n1", "n2"],
    arrange: async (lab) => {
      await web(lab);
      await lab.nodeDown(lab.tasks("web")[0]?.nodeId ?? "");
    },
  },
  {
    name: "node down, another takes over: the old task",
    nodes: ["n1", "n2"],
    arrange: async (lab) => {
      await web(lab);
      await lab.nodeDown(lab.tasks("web")[0]?.nodeId ?? "");
    },
    at: 1,
  },
  {
    name: "node down, and no other can take it",
    arrange: async (lab) => {
      await web(lab);
      await lab.nodeDown("n1");
    },
  },
  {
    name: "orphaned",
    nodes: ["n1", "n2"],
    arrange: async (lab) => {
      await web(lab);
      await lab.nodeDown(lab.tasks("web")[0]?.nodeId ?? "");
      await lab.advance(6 * 60_000);
    },
    at: 1,
  },
  {
    name: "the node's daemon restarts",
    arrange: async (lab) => {
      await web(lab);
      await lab.updateNode("n1", (node) => ({
        ...node,
        status: { message: "", address: "", ...node.status, state: NodeState.DISCONNECTED },
      }));
    },
  },
  {
    name: "node removed: the successor",
    nodes: ["n1", "n2"],
    arrange: async (lab) => {
      await web(lab);
      const id = lab.tasks("web")[0]?.nodeId ?? "";
      await lab.test.store.update((tx) => tx.remove("node", id));
      await lab.settle();
    },
  },
  {
    name: "drained: the task that was moved away",
    nodes: ["n1", "n2"],
    arrange: async (lab) => {
      await web(lab);
      await drain(lab, lab.tasks("web")[0]?.nodeId ?? "");
    },
    at: 1,
  },
  {
    name: "drained, and no other node: it serves on",
    arrange: async (lab) => {
      await web(lab, {}, { update: { order: UpdateOrder.START_FIRST } });
      await drain(lab, "n1");
    },
    at: 1,
  },
  {
    name: "drained, and the deadline has passed",
    arrange: async (lab) => {
      await web(lab, {}, { update: { order: UpdateOrder.START_FIRST } });
      await drain(lab, "n1");
      await lab.advance(24 * 3_600_000);
    },
    at: 1,
  },
  {
    name: "start-first update: the successor is not healthy yet",
    nodes: ["n1", "n2"],
    arrange: async (lab) => {
      await web(lab, {}, { update: { order: UpdateOrder.START_FIRST, parallelism: 1 } });
      lab.run = stuckAt(TaskState.STARTING);
      await lab.setImage("web", "app:2");
      await lab.advance(3_000);
    },
  },
  {
    name: "stop-first update: the successor waits for the predecessor",
    arrange: async (lab) => {
      await web(lab, {}, { update: { order: UpdateOrder.STOP_FIRST, parallelism: 1 } });
      lab.silent.add("n1");
      await lab.setImage("web", "app:2");
      await lab.advance(4_000);
    },
  },
  {
    name: "stop-first update: the predecessor stops",
    arrange: async (lab) => {
      await web(lab, {}, { update: { order: UpdateOrder.STOP_FIRST, parallelism: 1 } });
      lab.silent.add("n1");
      await lab.setImage("web", "app:2");
      await lab.advance(4_000);
    },
    at: 1,
  },
  {
    name: "updated: the old task",
    arrange: async (lab) => {
      await web(lab);
      await lab.setImage("web", "app:2");
    },
    at: 1,
  },
  {
    name: "rolled back after failures: the task of the bad update",
    arrange: async (lab) => {
      await web(
        lab,
        {},
        { update: { failureAction: FailureAction.ROLLBACK, parallelism: 1, monitorMs: 5_000 } },
      );
      await lab.advance(60_000);
      lab.run = (task) => ({
        state: task.spec?.container?.image === "app:2" ? TaskState.STARTING : TaskState.RUNNING,
        message: "",
      });
      await lab.setImage("web", "app:2");
      await lab.rollback("web");
      await lab.advance(10_000);
    },
    at: 1,
  },
  {
    name: "scaled down, and the node is silent",
    arrange: async (lab) => {
      await web(lab, {}, { mode: replicas(2) });
      lab.silent.add("n1");
      await lab.scale("web", 1);
      await lab.advance(2_000);
    },
    at: 1,
  },
  {
    name: "service removed, and the node is silent",
    arrange: async (lab) => {
      await web(lab);
      lab.silent.add("n1");
      await lab.removeService("web");
      await lab.advance(2_000);
    },
  },
  {
    name: "restart delay",
    arrange: async (lab) => {
      await web(lab);
      await lab.crash(first(lab), 3);
    },
  },
  {
    name: "crash loop",
    arrange: async (lab) => {
      await web(lab);
      for (let count = 0; count < 4; count++) {
        await lab.crash(first(lab), 3);
        if (count < 3) await lab.advance(5_000);
      }
    },
  },
  {
    name: "rejected while its own delay runs",
    arrange: async (lab) => {
      lab.run = () => ({ state: TaskState.REJECTED, err: "manifest unknown", cause: "image-not-found" });
      lab.prepare = lab.run;
      await web(lab);
    },
  },
  {
    name: "attempts used up",
    arrange: async (lab) => {
      await web(lab, { restart: { maxAttempts: 2, delayMs: 0 } });
      for (let count = 0; count < 3; count++) await lab.crash(first(lab), 3);
    },
  },
  {
    name: "restart condition none",
    arrange: async (lab) => {
      await web(lab, { restart: { condition: RestartCondition.NONE } });
      await lab.crash(first(lab), 3);
    },
  },
  {
    name: "job finished",
    arrange: async (lab) => {
      lab.run = () => ({ state: TaskState.COMPLETE, message: "finished" });
      await web(
        lab,
        {},
        { mode: { $case: "replicatedJob", value: { totalCompletions: 1, maxConcurrent: 1 } } },
      );
    },
  },
  {
    name: "job failed for good",
    arrange: async (lab) => {
      lab.run = () => ({
        state: TaskState.FAILED,
        message: "failed",
        err: "task: non-zero exit (4)",
        cause: "exit-nonzero",
      });
      const restart = { condition: RestartCondition.NONE };
      await web(
        lab,
        { restart },
        { mode: { $case: "replicatedJob", value: { totalCompletions: 1, maxConcurrent: 1 } } },
      );
    },
  },
  {
    name: "start-first update: the predecessor serves on",
    nodes: ["n1", "n2"],
    arrange: async (lab) => {
      await web(lab, {}, { update: { order: UpdateOrder.START_FIRST, parallelism: 1 } });
      lab.run = stuckAt(TaskState.STARTING);
      await lab.setImage("web", "app:2");
      await lab.advance(3_000);
    },
    at: 1,
  },
  {
    name: "an update that is paused by failures",
    arrange: async (lab) => {
      await web(
        lab,
        {},
        { update: { failureAction: FailureAction.PAUSE, parallelism: 1, monitorMs: 5_000 } },
      );
      await lab.advance(60_000);
      lab.run = failsAs("app:2");
      await lab.setImage("web", "app:2");
    },
  },
  {
    name: "an update that is rolled back by failures: the task after the one that failed",
    arrange: async (lab) => {
      await web(
        lab,
        { restart: { delayMs: 0 } },
        { update: { failureAction: FailureAction.ROLLBACK, parallelism: 1, monitorMs: 5_000 } },
      );
      await lab.advance(60_000);
      lab.run = failsAs("app:2");
      await lab.setImage("web", "app:2");
      await lab.advance(10_000);
    },
    at: 1,
  },
  {
    name: "a global service that no node may run: its task on the node that changed",
    arrange: async (lab) => {
      await lab.updateNode("n1", (node) => withLabel(node, "east"));
      await web(lab, asks("node.labels.zone==east"), { mode: GLOBAL });
      await lab.updateNode("n1", (node) => withLabel(node, "west"));
    },
  },
  {
    name: "scaled to nothing, and the node is silent",
    arrange: async (lab) => {
      await web(lab);
      lab.silent.add("n1");
      await lab.scale("web", 0);
    },
  },
];

const TOLD = readTold("told-of-waiting.txt");

for (const { name, nodes = ["n1"], arrange, at = 0 } of SITUATIONS) {
  test(`told: ${name}`, async () => {
    const lab = new ControlLab();
    after(() => lab.close());
    await lab.addNodes(...nodes);
    await arrange(lab);
    assert.equal(toldText(await tell(lab, "web", at)), TOLD.get(name));
  });
}

test("the table of what is told names these situations and no others", () => {
  assert.deepEqual(
    [...TOLD.keys()],
    SITUATIONS.map(({ name }) => name),
  );
});
