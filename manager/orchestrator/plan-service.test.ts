/**
 * Plans as data: a state in, the steps out.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, type RestartPolicy, TaskState, UpdateState } from "../../proto/gen/skein/v1/types.js";
import { chooseRemovals } from "./plan-replicated.js";
import { planService, planServiceInSlices } from "./plan-service.js";
import { mayRestart } from "./restart-policy.js";
import type { PlanInput } from "./service-plan.js";
import { makeSlot } from "./slot.js";
import type { Step } from "./steps.js";

type PartialOf<T> = T extends { fromPartial(object: infer P): unknown } ? P : never;

const NOW_MS = 1_000_000;
const nodes = ["n1", "n2"].map((id) => Node.fromPartial({ id, status: { state: NodeState.READY } }));

function aService(replicas: number, changes: PartialOf<typeof Service> = {}): Service {
  return Service.fromPartial({
    id: "web",
    spec: { task: { container: { image: "app" } }, mode: { $case: "replicated", value: { replicas } } },
    ...changes,
  });
}

function aTask(id: string, changes: PartialOf<typeof Task> = {}): Task {
  return Task.fromPartial({
    id,
    serviceId: "web",
    slot: 1,
    nodeId: "n1",
    spec: { container: { image: "app" } },
    desiredState: TaskState.RUNNING,
    ...changes,
    status: { state: TaskState.RUNNING, timestampMs: NOW_MS, ...changes.status },
    meta: { createdAtMs: NOW_MS - 10_000, ...changes.meta },
  });
}

function plan(service: Service | undefined, tasks: readonly Task[], changes: Partial<PlanInput> = {}) {
  return planService(anInput(service, tasks, changes));
}

function anInput(
  service: Service | undefined,
  tasks: readonly Task[],
  changes: Partial<PlanInput> = {},
): PlanInput {
  let ids = 0;
  return {
    serviceId: "web",
    service,
    tasks,
    nodes,
    node: (id) => nodes.find((node) => node.id === id),
    nowMs: NOW_MS,
    historyLimit: 5,
    orphanAfterMs: 300_000,
    drainDeadlineMs: 600_000,
    downSinceMs: () => NOW_MS,
    drainSinceMs: () => NOW_MS,
    othersOn: () => 0,
    runningSinceMs: () => undefined,
    newTaskId: () => `new${++ids}`,
    draw: () => 0.5,
    ...changes,
  };
}

/** Steps as text: "create new1 slot 2", "replace t1 by new1 READY". */
function expectSteps(steps: readonly Step[], expected: readonly string[]): void {
  const short = (state: string): string => state.replace("TASK_STATE_", "");
  const text = (step: Step): string => {
    switch (step.kind) {
      case "create":
        return (
          `create ${step.task.id} slot ${step.task.slot} ${short(step.task.desiredState)}: ` +
          `${step.task.createdBecause}`
        );
      case "replace":
        return (
          `replace ${step.oldTaskId} by ${step.task.id} ${short(step.task.desiredState)}: ` +
          `${step.task.createdBecause}`
        );
      case "desire":
        return `desire ${step.taskId} ${short(step.state)}${step.because === "" ? "" : `: ${step.because}`}`;
      case "wait":
        return `wait ${step.taskId}: ${step.message}`;
      case "orphan":
        return `orphan ${step.taskId}: ${step.message}`;
      case "removeTask":
        return `remove ${step.taskId}`;
      default:
        return step.kind;
    }
  };
  assert.deepEqual(steps.map(text), expected);
}

test("a service in order needs nothing", () => {
  expectSteps(plan(aService(1), [aTask("t1")]).steps, []);
});

test("missing slots are filled, lowest first", () => {
  expectSteps(plan(aService(3), [aTask("t1", { slot: 2 })]).steps, [
    "create new1 slot 1 RUNNING: scale: 1 to 3 replicas",
    "create new2 slot 3 RUNNING: scale: 1 to 3 replicas",
  ]);
});

test("tasks of a service that is gone are removed, those that ended deleted", () => {
  const ended = aTask("t2", { desiredState: TaskState.REMOVE, status: { state: TaskState.SHUTDOWN } });
  expectSteps(plan(undefined, [aTask("t1"), ended]).steps, [
    "remove t2",
    "desire t1 REMOVE: removed: the service was removed",
  ]);
});

test("a service marked for deletion goes after its last task", () => {
  expectSteps(plan(aService(1, { pendingDelete: true }), []).steps, ["removeService"]);
});

test("an ended task is replaced by one that waits out the delay", () => {
  const { steps, wakeAtMs } = plan(aService(1), [
    aTask("t1", { status: { state: TaskState.FAILED, container: { oomKilled: true } } }),
  ]);
  expectSteps(steps, ["replace t1 by new1 READY: restart: out of memory"]);
  assert.equal(wakeAtMs, NOW_MS + 5_000);
});

test("a waiting task starts when its predecessor ended, or after a minute and the grace period", () => {
  const old = aTask("t1", { desiredState: TaskState.SHUTDOWN });
  const next = (createdAtMs: number): Task =>
    aTask("t2", { desiredState: TaskState.READY, replacesTaskId: "t1", meta: { createdAtMs } });
  const waiting = plan(aService(1), [old, next(NOW_MS - 1)]);
  expectSteps(waiting.steps, ["wait t2: waits for the task before it on n1"]);
  assert.equal(waiting.wakeAtMs, NOW_MS - 1 + 70_000);
  expectSteps(plan(aService(1), [old, next(NOW_MS - 70_000)]).steps, ["desire t2 RUNNING"]);
  const ended = aTask("t1", { desiredState: TaskState.SHUTDOWN, status: { state: TaskState.SHUTDOWN } });
  expectSteps(plan(aService(1), [ended, next(NOW_MS - 1)]).steps, ["desire t2 RUNNING"]);
});

test("tasks of a node that was removed are replaced and orphaned at once", () => {
  expectSteps(plan(aService(1), [aTask("t1", { nodeId: "gone" })]).steps, [
    "replace t1 by new1 RUNNING: node: gone was removed",
  ]);
  const lost = aTask("t1", { nodeId: "gone", desiredState: TaskState.SHUTDOWN });
  expectSteps(plan(aService(1), [lost, aTask("t2", { meta: { createdAtMs: NOW_MS } })]).steps, [
    "orphan t1: node gone was removed from the cluster",
  ]);
});

test("history beyond the limit is removed, oldest first, but never the newest", () => {
  const old = (id: string, createdAtMs: number): Task =>
    aTask(id, {
      desiredState: TaskState.SHUTDOWN,
      status: { state: TaskState.FAILED },
      meta: { createdAtMs },
    });
  const tasks = [aTask("t9", { meta: { createdAtMs: NOW_MS } }), old("t1", 1), old("t2", 2), old("t3", 3)];
  expectSteps(plan(aService(1), tasks, { historyLimit: 2 }).steps, ["remove t1", "remove t2"]);
  expectSteps(plan(aService(1), tasks, { historyLimit: 0 }).steps, ["remove t1", "remove t2", "remove t3"]);
  expectSteps(plan(aService(1), tasks, { historyLimit: -1 }).steps, []);
});

test("slots that run nothing are given up first, then those of the busiest node", () => {
  const slot = (key: number, nodeId: string, state: TaskState = TaskState.RUNNING) => {
    const task = aTask(`t${key}`, { slot: key, nodeId, status: { state }, meta: { createdAtMs: key } });
    return makeSlot(key, [task], aService(1), (id) => nodes.find((node) => node.id === id));
  };
  const slots = [
    slot(1, "n1"),
    slot(2, "n1"),
    slot(3, "n1"),
    slot(4, "n2"),
    slot(5, "n2", TaskState.PENDING),
  ];
  const keys = (count: number): unknown[] => chooseRemovals(slots, count).map(({ key }) => key);
  assert.deepEqual([keys(-1), keys(1), keys(3), keys(5)], [[], [5], [5, 3, 2], [5, 3, 2, 1, 4]]);
});

test("restart attempts count within the window before the end", () => {
  const restart = (policy: Partial<RestartPolicy>): RestartPolicy => ({
    condition: "RESTART_CONDITION_ANY",
    maxAttempts: 0,
    windowMs: 0,
    ...policy,
  });
  const ended = (policy: Partial<RestartPolicy>): Task =>
    aTask("t9", { spec: { restart: restart(policy) }, status: { state: TaskState.FAILED } });
  const attempt = (agoMs: number): Task =>
    aTask(`a${agoMs}`, { createdBecause: "restart: exit code 1", meta: { createdAtMs: NOW_MS - agoMs } });
  const attempts = [attempt(1_000), attempt(5_000), attempt(60_000)];
  for (const [policy, allowed] of [
    [{}, true],
    [{ condition: "RESTART_CONDITION_NONE" }, false],
    [{ maxAttempts: 3 }, false],
    [{ maxAttempts: 4 }, true],
    [{ maxAttempts: 3, windowMs: 10_000 }, true],
    [{ maxAttempts: 2, windowMs: 10_000 }, false],
  ] as const) {
    assert.equal(mayRestart(ended(policy), attempts), allowed, JSON.stringify(policy));
  }
});

test("a large service is planned in small portions, whatever becomes of it", () => {
  const tasks = Array.from({ length: 5_120 }, (_, at) => aTask(`t${at}`, { slot: at + 1 }));
  const waiting = tasks.map((task) => ({ ...task, nodeId: "", status: undefined }));
  const updating = aService(5_120, {
    spec: {
      task: { container: { image: "app:2" } },
      mode: { $case: "replicated", value: { replicas: 5_120 } },
    },
    updateStatus: { state: UpdateState.UPDATING },
  });
  for (const [service, input] of [
    [undefined, tasks], // removed
    [aService(0), tasks],
    [aService(0), waiting],
    [updating, tasks],
  ] as const) {
    let portions = 0;
    for (const _ of planServiceInSlices(anInput(service, input))) portions += 1;
    assert.ok(portions >= 5_120 / 64, `${portions} portions`);
  }
});
