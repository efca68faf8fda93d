/**
 * A service's account: order, bounds, pauses, and what a task costs.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  RestartCondition,
  TaskPhase,
  TaskState,
  TaskStatus,
  TaskWait,
} from "../../proto/gen/skein/v1/types.js";
import { explainService, SLOTS_MAX, TASKS_PER_SLOT_MAX } from "./explain-service.js";
import { phaseSpans } from "./phase-spans.js";

const service = (replicas: number): Service =>
  Service.fromPartial({
    id: "s1",
    spec: { annotations: { name: "web" }, mode: { $case: "replicated", value: { replicas } } },
  });
const pending = (slot: number): Task =>
  Task.fromPartial({
    id: `t${slot}`,
    serviceId: "s1",
    slot,
    serviceAnnotations: { name: "web" },
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.PENDING, err: "no suitable node (x)", cause: "no-suitable-node" },
  });

function run(of: Service, tasks: readonly Task[]) {
  const explaining = explainService({ service: of, tasks, nodes: [], node: () => undefined, nowMs: 0 });
  for (let pauses = 0; ; pauses++) {
    const step = explaining.next();
    if (step.done === true) return { why: step.value, pauses };
  }
}

test("a big service is told in slices: a hundred slots, in order, and how many more there are", () => {
  const tasks = Array.from({ length: 20_000 }, (_, at) => pending(20_000 - at));
  const { why, pauses } = run(service(20_000), tasks);
  assert.ok(pauses >= 40, `${pauses} chances to pause`);
  assert.equal(why.slots.length, SLOTS_MAX);
  assert.equal(why.slotsLeftOut, 20_000 - SLOTS_MAX);
  assert.equal(why.slots[0]?.name, "web.1");
  assert.equal(
    why.headline,
    "0 of 20000 tasks of web run; 20000 missing. " +
      "web.1, web.2, web.3 and 19997 more: waits for a node: no suitable node (x)",
  );
});

test("reasons that differ by times alone are one; the first tells its own", () => {
  const dead = (slot: number, ranMs: number): Task =>
    Task.fromPartial({
      ...pending(slot),
      desiredState: TaskState.SHUTDOWN,
      spec: { restart: { condition: RestartCondition.NONE } },
      nodeId: "n1",
      status: {
        state: TaskState.FAILED,
        cause: "exit-nonzero",
        container: { exitCode: 3 },
        phases: [
          { phase: TaskPhase.STARTED, atMs: 1 },
          { phase: TaskPhase.ENDED, atMs: 1 + ranMs },
        ],
      },
    });
  const { why } = run(service(3), [dead(1, 500), dead(2, 61_000), dead(3, 9)]);
  assert.equal(
    why.headline,
    "0 of 3 tasks of web run; 3 missing. web.1, web.2 and web.3: exited with code 3 on n1 after 500 ms; " +
      "its restart condition is none",
  );
  assert.deepEqual(why.advice, ["see what it says: docker service logs web"]);
});

test("a slot shows its newest tasks only; slots in trouble come first", () => {
  const history = Array.from({ length: 15 }, (_, at) =>
    Task.fromPartial({
      ...pending(1),
      id: `old${at}`,
      desiredState: TaskState.SHUTDOWN,
      status: { state: TaskState.FAILED },
      meta: { createdAtMs: at },
    }),
  );
  const runs = Task.fromPartial({
    ...pending(1),
    meta: { createdAtMs: 99 },
    nodeId: "n1",
    status: { state: TaskState.RUNNING },
  });
  const { why } = run(service(2), [...history, runs, pending(2)]);
  assert.deepEqual(
    why.slots.map(({ name, missing, tasks }) => [name, missing, tasks.length]),
    [
      ["web.2", true, 1],
      ["web.1", false, TASKS_PER_SLOT_MAX],
    ],
  );
});

test("phases follow each other without gaps, and end with the one that lasts", () => {
  const task = Task.fromPartial({
    meta: { createdAtMs: 100 },
    status: {
      phases: [
        { phase: TaskPhase.ALLOCATED, atMs: 102 },
        { phase: TaskPhase.SCHEDULED, atMs: 105 },
        { phase: TaskPhase.ACCEPTED, atMs: 115 },
      ],
    },
  });
  const text = phaseSpans(task, 4_115).map(
    ({ phase, durationMs, open }) => `${phase} ${durationMs}${open ? " so far" : ""}`,
  );
  assert.deepEqual(text, ["allocate 2", "schedule 3", "assign 10", "pull 4000 so far"]);
  const ended = Task.fromPartial({
    meta: { createdAtMs: 1 },
    status: { phases: [{ phase: TaskPhase.ENDED, atMs: 9 }] },
  });
  assert.deepEqual(
    phaseSpans(ended, 50).map(({ durationMs, open }) => [durationMs, open]),
    [[8, false]],
  );
});

test("a task's whole account costs less than a kilobyte and a half in the log and in snapshots", () => {
  const phases = Object.values(TaskPhase)
    .filter((phase) => phase !== TaskPhase.UNRECOGNIZED)
    .map((phase) => ({ phase, atMs: 1_767_225_600_000 }));
  const refusals = ["readiness", "platform", "constraint", "memory", "host-port"].map((filter) => ({
    filter,
    nodes: 1_000,
    detail: "do not meet node.labels.zone==east",
  }));
  const message = "no suitable node (1000 nodes do not meet node.labels.zone==east)";
  const waits = Array.from({ length: 4 }, () =>
    TaskWait.fromPartial({
      cause: "no-suitable-node",
      message,
      sinceMs: 1,
      untilMs: 2,
      refusals: refusals.slice(0, 3),
    }),
  );
  const words = {
    createdBecause: "update: image nginx:1.24 to nginx:1.25, 2 variables",
    stoppedBecause: "node: host2 is down",
  };
  const withAccount = Task.encode(
    Task.fromPartial({ status: TaskStatus.fromPartial({ phases }), waits, ...words }),
  );
  const bytes = withAccount.finish().length;
  assert.ok(bytes < 1_500, `${bytes} bytes`);
});
