/**
 * The scheduler against a naive one that looks at every node for every task: same choice up to ties; and
 * everything that is kept up to date against the same made anew.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, PlacementStrategy, PublishMode, TaskState } from "../../proto/gen/skein/v1/types.js";
import { attributeOf } from "./constraint.js";
import { FilterPipeline } from "./filter.js";
import type { NodeInfo } from "./node-info.js";
import { NodeSet } from "./node-set.js";
import { Placer } from "./placement.js";
import { Refusals } from "./refusals.js";

const ZONES = ["east", "west", ""];
const RACKS = ["r1", "r2"];
const SERVICES = ["web", "api", "db"];

interface NodeShape {
  readonly zone: string;
  readonly rack: string;
  readonly memory: number;
  readonly ready: boolean;
}

interface TaskShape {
  readonly service: string;
  readonly memory: number;
  readonly maxReplicas: number;
  readonly preferences: readonly string[];
  readonly zone: string;
  readonly port: boolean;
  readonly binPack: boolean;
}

const nodeShape = fc.record<NodeShape>({
  zone: fc.constantFrom(...ZONES),
  rack: fc.constantFrom(...RACKS),
  memory: fc.integer({ min: 0, max: 6 }),
  ready: fc.boolean(),
});
const taskShape = fc.record<TaskShape>({
  service: fc.constantFrom(...SERVICES),
  memory: fc.constantFrom(0, 0, 1, 2),
  maxReplicas: fc.constantFrom(0, 0, 1, 2),
  preferences: fc.constantFrom<readonly string[]>(
    [],
    [],
    ["node.labels.zone"],
    ["node.labels.zone", "node.labels.rack"],
  ),
  zone: fc.constantFrom("", "", "east"),
  port: fc.constantFrom(false, false, true),
  binPack: fc.constantFrom(false, false, true),
});
type Step =
  | { readonly kind: "place"; readonly task: TaskShape; readonly count: number }
  | { readonly kind: "node"; readonly at: number; readonly node: NodeShape | undefined }
  | { readonly kind: "end"; readonly at: number; readonly state: TaskState };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("place" as const), task: taskShape, count: fc.integer({ min: 1, max: 6 }) }),
  fc.record({
    kind: fc.constant("node" as const),
    at: fc.nat({ max: 7 }),
    node: fc.option(nodeShape, { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant("end" as const),
    at: fc.nat({ max: 60 }),
    state: fc.constantFrom(TaskState.COMPLETE, TaskState.FAILED, TaskState.RUNNING),
  }),
);

function makeNode(at: number, { zone, rack, memory, ready }: NodeShape): Node {
  return Node.fromPartial({
    id: `n${at}`,
    status: { state: ready ? NodeState.READY : NodeState.DOWN },
    spec: { annotations: { labels: { ...(zone === "" ? {} : { zone }), rack } } },
    description: { hostname: `n${at}`, resources: { memoryBytes: memory } },
  });
}

function makeTask(id: string, shape: TaskShape): Task {
  const port = { publishMode: PublishMode.HOST, publishedPort: 80, targetPort: 80 };
  return Task.fromPartial({
    id,
    serviceId: shape.service,
    allocated: true,
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.PENDING },
    endpoint: { spec: { ports: shape.port ? [port] : [] } },
    spec: {
      resources: { reservations: { memoryBytes: shape.memory } },
      placement: {
        constraints: shape.zone === "" ? [] : [`node.labels.zone == ${shape.zone}`],
        maxReplicas: shape.maxReplicas,
        spreadPreferences: shape.preferences,
        strategy: shape.binPack ? PlacementStrategy.BIN_PACK : PlacementStrategy.DEFAULT,
      },
    },
  });
}

/** What decides between nodes of one branch, most important first. */
function costs(set: NodeSet, task: Task, info: NodeInfo): readonly number[] {
  const failing = info.isFailing(task.serviceId, set.nowMs) ? 1 : 0;
  return task.spec?.placement?.strategy === PlacementStrategy.BIN_PACK
    ? [failing, -info.fill, -info.taskCount]
    : [failing, info.serviceCount(task.serviceId), info.taskCount];
}

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((cost, i) => cost !== b[i]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

const branchOf = (info: NodeInfo, preference: string): string => attributeOf(info.node, preference) ?? "";

/** @returns why the choice is not among the best; undefined when it is. */
function betterThan(set: NodeSet, task: Task, chosen: NodeInfo): string | undefined {
  const pipeline = new FilterPipeline(task, {
    set,
    networkDriver: () => undefined,
    encryptedNetwork: () => undefined,
  });
  let fitting = [...set.all()].filter((info) => pipeline.accepts(info));
  let around = [...set.all()];
  for (const preference of task.spec?.placement?.spreadPreferences ?? []) {
    const inBranch = (branch: string): readonly NodeInfo[] =>
      around.filter((info) => branchOf(info, preference) === branch);
    const tasksIn = (branch: string): number =>
      inBranch(branch).reduce((sum, info) => sum + info.serviceCount(task.serviceId), 0);
    const own = branchOf(chosen, preference);
    const better = fitting.find((info) => tasksIn(branchOf(info, preference)) < tasksIn(own));
    if (better !== undefined) return `${better.id} is in a better branch of ${preference}`;
    fitting = fitting.filter((info) => branchOf(info, preference) === own);
    around = [...inBranch(own)];
  }
  const better = fitting.find((info) => isBefore(costs(set, task, info), costs(set, task, chosen)));
  return better && `${better.id} is better: ${costs(set, task, better).join()}`;
}

/** Places the task, which the choice is made before. @returns its node. */
function assertSameChoice(set: NodeSet, placer: Placer, task: Task): string | undefined {
  const pipeline = new FilterPipeline(task, {
    set,
    networkDriver: () => undefined,
    encryptedNetwork: () => undefined,
  });
  const result = placer.place(task);
  if (result.kind === "unplaced") {
    const fitting = [...set.all()].filter((info) => pipeline.accepts(info));
    assert.deepEqual(fitting, [], `refused though ${fitting.map(({ id }) => id).join()} fit`);
    assert.equal(result.reason, new Refusals(set, pipeline).explain().reason, "counts as if counted anew");
    return undefined;
  }
  set.syncTask(task.id, undefined); // as it was before the choice
  const chosen = set.get(result.nodeId);
  assert.ok(chosen !== undefined && pipeline.accepts(chosen), "the node fits");
  assert.equal(betterThan(set, task, chosen), undefined);
  const status = task.status && { ...task.status, state: TaskState.ASSIGNED };
  set.syncTask(task.id, { ...task, nodeId: result.nodeId, status });
  return result.nodeId;
}

test("tasks go where a naive scheduler would put them, up to ties, whatever happened before", () => {
  fc.assert(
    fc.property(
      fc.array(nodeShape, { minLength: 1, maxLength: 8 }),
      fc.array(step, { maxLength: 30 }),
      (shapes, steps) => {
        const set = NodeSet.from(
          shapes.map((shape, at) => makeNode(at, shape)),
          [],
        );
        const placer = new Placer(set);
        const nodes = new Map(shapes.map((shape, at) => [`n${at}`, makeNode(at, shape)]));
        const tasks = new Map<string, Task>();
        let made = 0;
        for (const now of steps) {
          set.nowMs += 20_000;
          if (now.kind === "place") {
            for (let i = 0; i < now.count; i++) {
              const task = makeTask(`t${made++}`, now.task);
              const nodeId = assertSameChoice(set, placer, task);
              if (nodeId === undefined) continue;
              tasks.set(task.id, {
                ...task,
                nodeId,
                status: task.status && { ...task.status, state: TaskState.ASSIGNED },
              });
            }
          } else if (now.kind === "node") {
            const id = `n${now.at}`;
            const node = now.node && makeNode(now.at, now.node);
            const own = [...tasks.values()].filter(({ nodeId }) => nodeId === id);
            set.syncNode(id, node, own);
            if (node === undefined) nodes.delete(id);
            else nodes.set(id, node);
          } else {
            const task = [...tasks.values()][now.at];
            if (task?.status === undefined) continue;
            const moved = { ...task, status: { ...task.status, state: now.state, timestampMs: set.nowMs } };
            tasks.set(task.id, moved);
            set.syncTask(task.id, moved);
            set.noteFailure(moved);
          }
        }
        const fresh = NodeSet.from([...nodes.values()], [...tasks.values()]);
        for (const id of nodes.keys()) {
          const describe = (info: NodeInfo | undefined): unknown => [
            info?.taskCount,
            SERVICES.map((service) => info?.serviceCount(service)),
            info?.freeMemoryBytes(),
            info?.portInUse("tcp/80"),
            [...(info?.held.keys() ?? [])].sort(),
          ];
          assert.deepEqual(describe(set.get(id)), describe(fresh.get(id)), `node ${id} as if made anew`);
        }
        for (const service of SERVICES) assert.equal(set.spreadOf(service), fresh.spreadOf(service));
      },
    ),
    { numRuns: 300 },
  );
});
