import assert from "node:assert/strict";
import { test } from "node:test";
import { Node, Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import {
  NodeState,
  RestartCondition,
  ServiceSpec,
  type TaskSpec,
  TaskState,
  UpdateState,
} from "../../../proto/gen/skein/v1/types.js";
import { HOPELESS_AFTER_MS, type JudgeInput, judgeService } from "./judge-service.js";

const NOW_MS = 1_000_000;
type ServicePartial = Parameters<typeof Service.fromPartial>[0];
type TaskPartial = Parameters<typeof Task.fromPartial>[0];

const SPEC = ServiceSpec.fromPartial({
  annotations: { name: "web" },
  mode: { $case: "replicated", value: { replicas: 2 } },
  task: { container: { image: "app:2" } },
});
const NODES = ["n1", "n2"].map((id) =>
  Node.fromPartial({ id, description: { hostname: id }, status: { state: NodeState.READY } }),
);

function service(change: ServicePartial = {}): Service {
  return Service.fromPartial({ id: "s", spec: SPEC, specVersion: { index: 7 }, ...change });
}

let count = 0;
function task(slot: number, state: TaskState, change: TaskPartial = {}): Task {
  count += 1;
  return Task.fromPartial({
    id: `t${count}`,
    serviceId: "s",
    serviceAnnotations: { name: "web" },
    slot,
    nodeId: "n1",
    spec: SPEC.task as TaskSpec, // given above
    specVersion: { index: 7 },
    desiredState: TaskState.RUNNING,
    meta: { createdAtMs: NOW_MS - 20_000 + count, updatedAtMs: NOW_MS - 10_000 },
    ...change,
    status: { state, ...change.status },
  });
}

function judge(tasks: readonly Task[], change: Partial<JudgeInput> = {}) {
  return judgeService({
    service: service(),
    tasks,
    nodes: NODES,
    nowMs: NOW_MS,
    sinceMs: NOW_MS - 60_000,
    quietSinceMs: NOW_MS - 60_000,
    goingBack: false,
    runningSinceMs: () => undefined,
    ...change,
  });
}

const running = (slot: number, change: TaskPartial = {}): Task => task(slot, TaskState.RUNNING, change);
const failed = (slot: number, change: TaskPartial = {}): Task =>
  task(slot, TaskState.FAILED, { ...change, status: { err: "exit code 1", ...change.status } });
const OLD = { spec: { container: { image: "app:1" } }, specVersion: { index: 3 } };

test("a service runs when each place has a running task of its specification, and is reached without an update", () => {
  assert.deepEqual(
    [
      [running(1), running(2)],
      [running(1)],
      [running(1), task(2, TaskState.STARTING)],
      [running(1), running(2, OLD)],
      [running(1), running(2), running(3)],
      [running(1), running(2, { nodeId: "n3" })],
      [running(1), running(2, { desiredState: TaskState.SHUTDOWN })],
    ].map((tasks) => judge(tasks).runs),
    [true, false, false, false, false, true, false],
  );
  const updating = service({ updateStatus: { state: UpdateState.UPDATING } });
  const { runs, reached, message } = judge([running(1), running(2)], { service: updating });
  assert.deepEqual(
    { runs, reached, message },
    { runs: true, reached: false, message: "all tasks run, the update is under way" },
  );
  assert.equal(judge([running(1)]).message, "1 of 2 tasks run");
});

test("a task on a node that is down does not run", () => {
  const [first = Node.fromPartial({}), second = first] = NODES;
  const nodes = [{ ...first, status: { state: NodeState.DOWN, message: "", address: "" } }, second];
  assert.equal(judge([running(1), running(2, { nodeId: "n2" })], { nodes }).runs, false);
});

test("settled is reached for as long as the monitor says, and asks to be looked at then", () => {
  const since = (ms: number) => judge([running(1), running(2)], { runningSinceMs: () => NOW_MS - ms });
  assert.deepEqual([since(4_999).settled, since(4_999).wakeAtMs], [false, NOW_MS + 1]);
  assert.deepEqual([since(5_000).settled, since(5_000).wakeAtMs], [true, undefined]);
});

test("three failures of one place are one too many; those of others, and of before, do not count", () => {
  const last = "task web.1 on n1 failed 3 times: exit code 1";
  const rows: readonly (readonly [string, readonly Task[]])[] = [
    ["", [failed(1), failed(1), task(1, TaskState.STARTING), running(2)]],
    [last, [failed(1), failed(1), failed(1), running(2)]],
    [last, [failed(1), failed(1), failed(1), task(1, TaskState.STARTING), running(2)]],
    ["", [failed(1), failed(1), failed(1), running(1), running(2)]],
    ["", [failed(1), failed(1), failed(2), failed(2)]],
    ["", [failed(1, OLD), failed(1, OLD), failed(1, OLD)]],
  ];
  for (const [failure, tasks] of rows) assert.equal(judge(tasks).failure, failure);
  assert.equal(judge([failed(1), failed(1), failed(1)], { sinceMs: NOW_MS }).failure, "");
});

test("what its restart policy gives up has failed, and what ended well without a restart is completed", () => {
  const spec = {
    ...(SPEC.task as TaskSpec),
    restart: { condition: RestartCondition.NONE, maxAttempts: 0, windowMs: 0 },
  };
  const once = service({ spec: { ...SPEC, task: spec } });
  const own = { spec };
  assert.match(
    judge([failed(1, own), running(2, own)], { service: once }).failure,
    /^task web.1 on n1 failed: exit/,
  );
  const done = judge([task(1, TaskState.COMPLETE, own), running(2, own)], { service: once });
  assert.deepEqual([done.runs, done.completed, done.failure], [true, false, ""]);
  const all = judge([task(1, TaskState.COMPLETE, own), task(2, TaskState.COMPLETE, own)], { service: once });
  assert.deepEqual([all.runs, all.completed], [true, true]);
});

test("without a node, or with an image refused for good, hope ends half a minute after the last change", () => {
  const waits = [
    {
      cause: "no-suitable-node",
      message: "no suitable node (2 nodes lack memory)",
      sinceMs: NOW_MS - 40_000,
    },
  ];
  const unplaced = task(1, TaskState.PENDING, { nodeId: "", waits });
  const words = "task web.1 has no place: no suitable node (2 nodes lack memory)";
  assert.equal(judge([unplaced, running(2)]).failure, words);
  const lately = judge([unplaced, running(2)], { quietSinceMs: NOW_MS - 1 });
  assert.deepEqual([lately.failure, lately.wakeAtMs], ["", NOW_MS - 1 + HOPELESS_AFTER_MS]);
  const refused = (cause: string) =>
    task(1, TaskState.REJECTED, {
      meta: { createdAtMs: NOW_MS - 31_000 },
      status: { cause, err: "refused" },
    });
  assert.match(judge([refused("image-not-found"), running(2)]).failure, /failed: refused$/);
  assert.equal(judge([refused("registry-unavailable"), running(2)]).failure, "");
});

test("an update that is paused has failed; one that is rolled back, too, unless that is what is wanted", () => {
  const message =
    "update rolled back due to failure or early termination of task x: web.1 on n1: exit code 1 " +
    "(1 of 2 updated tasks failed, none may); going back to the specification before";
  const back = service({ updateStatus: { state: UpdateState.ROLLBACK_STARTED, message } });
  const tasks = [running(1), running(2)];
  assert.equal(judge(tasks, { service: back }).failure, message.split(";")[0]);
  assert.equal(judge(tasks, { service: back, goingBack: true }).failure, "");
  const completed = (startedAtMs: number) =>
    service({
      updateStatus: {
        ...{ state: UpdateState.ROLLBACK_COMPLETED, startedAtMs, completedAtMs: NOW_MS },
        message: `rollback completed; ${message}`,
      },
    });
  assert.equal(judge(tasks, { service: completed(NOW_MS) }).failure, message.split(";")[0]);
  assert.equal(judge(tasks, { service: completed(NOW_MS), goingBack: true }).failure, "");
  assert.equal(judge(tasks, { service: completed(NOW_MS - 90_000) }).failure, "", "it was before");
  const paused = service({
    updateStatus: { state: UpdateState.ROLLBACK_PAUSED, message: "rollback paused" },
  });
  assert.equal(judge(tasks, { service: paused, goingBack: true }).failure, "rollback paused");
});

test("a job is judged by its iteration: completed slots, and failures beyond its policy", () => {
  const restart = { condition: RestartCondition.ON_FAILURE, maxAttempts: 1, windowMs: 0 };
  const spec = { ...(SPEC.task as TaskSpec), restart };
  const job = service({
    spec: {
      ...SPEC,
      task: spec,
      mode: { $case: "replicatedJob", value: { maxConcurrent: 2, totalCompletions: 2 } },
    },
    jobStatus: { iteration: 4 },
  });
  const own = (change: TaskPartial = {}) => ({
    spec,
    jobIteration: 4,
    desiredState: TaskState.COMPLETE,
    ...change,
  });
  const of = (...tasks: Task[]) => judge(tasks, { service: job });
  const done = (slot: number, change = {}) => task(slot, TaskState.COMPLETE, own(change));
  assert.equal(of(done(0), done(1)).completed, true);
  assert.equal(of(done(0), done(1, { jobIteration: 3 })).completed, false);
  assert.equal(of(done(0), running(1, own())).message, "1 of 2 tasks completed");
  assert.equal(of(done(0), failed(1, own())).failure, "");
  const again = failed(1, own({ createdBecause: "restart: exit code 1" }));
  assert.match(of(done(0), failed(1, own()), again).failure, /failed 2 times: exit code 1$/);
});

test("a global service runs when each node that takes it has a task", () => {
  const everywhere = service({ spec: { ...SPEC, mode: { $case: "global", value: {} } } });
  const on = (nodeId: string) => running(0, { nodeId });
  assert.equal(judge([on("n1"), on("n2")], { service: everywhere }).runs, true);
  assert.equal(judge([on("n1")], { service: everywhere }).runs, false);
});
