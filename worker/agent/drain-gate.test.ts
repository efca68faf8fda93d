import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { AssignmentSet, EndpointState } from "../../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { nextStep } from "../exec/task-machine.js";
import { DrainGate } from "./drain-gate.js";

function setUp() {
  const clock = new ManualClock();
  const released: string[] = [];
  const gate = new DrainGate(clock, (taskId) => released.push(taskId));
  const stop = (revision: number, taskIds: string[], observed: TaskState = TaskState.RUNNING): void => {
    const endpoints = taskIds.map((taskId) => ({
      resource: { $case: "endpoint" as const, value: { taskId, state: EndpointState.DRAINING } },
    }));
    const tasks = taskIds.map((id) => {
      const task = Task.fromPartial({ id, desiredState: TaskState.SHUTDOWN, status: { state: observed } });
      return { resource: { $case: "task" as const, value: task } };
    });
    const part = { revision, drainWaitMs: 2_000 };
    gate.accept(AssignmentSet.fromPartial({ ...part, upserts: endpoints, more: true }));
    gate.accept(AssignmentSet.fromPartial({ ...part, upserts: tasks }));
  };
  return { clock, gate, released, stop };
}

test("tasks told to stop are held until that revision is drained, others are not", () => {
  const { gate, released, stop } = setUp();
  stop(5, ["t1"]);
  stop(8, ["t1", "t2"]);
  stop(8, ["t3"], TaskState.COMPLETE);
  gate.accept(AssignmentSet.fromPartial({ revision: 9 }));
  const aside = Task.fromPartial({ id: "t4", desiredState: TaskState.SHUTDOWN });
  const upserts = [{ resource: { $case: "task" as const, value: aside } }];
  gate.accept(AssignmentSet.fromPartial({ revision: 10, upserts, drainWaitMs: 2_000 }));
  assert.equal(gate.holds("t4"), false, "nobody could reach it");
  assert.deepEqual(
    ["t1", "t2", "t3"].map((id) => gate.holds(id)),
    [true, true, false],
  );
  gate.drained(4);
  assert.deepEqual(released, []);
  gate.drained(5);
  assert.deepEqual(released, ["t1"]);
  gate.drained(9);
  assert.deepEqual(released, ["t1", "t2"]);
  assert.equal(gate.holds("t2"), false);
});

test("nothing is held longer than the set says", () => {
  const { clock, gate, released, stop } = setUp();
  stop(5, ["t1"]);
  clock.advance(1_999);
  assert.equal(gate.holds("t1"), true);
  clock.advance(1);
  assert.deepEqual(released, ["t1"]);
  stop(6, ["t2"]);
  gate.close();
  clock.advance(5_000);
  assert.deepEqual(released, ["t1"]);
});

test("a manager hears once that the network follows, also when newer sets came meanwhile", () => {
  const { gate, stop } = setUp();
  assert.equal(gate.confirms(4), false);
  stop(5, []);
  stop(8, []);
  assert.equal(gate.confirms(4), false);
  assert.equal(gate.confirms(6), true);
  assert.equal(gate.confirms(7), false);
  assert.equal(gate.confirms(9), true);
  assert.equal(gate.confirms(9), false);
  stop(3, []); // of a cluster that began anew
  assert.equal(gate.confirms(3), true);
});

test("a held task that runs goes on; one that does not yet run, or is nobody's, is stopped", () => {
  const held = { desired: TaskState.SHUTDOWN, assigned: true, removed: false, held: true };
  assert.deepEqual(nextStep({ ...held, observed: TaskState.RUNNING }), { kind: "wait" });
  assert.deepEqual(nextStep({ ...held, observed: TaskState.STARTING }), { kind: "shutdown" });
  assert.deepEqual(nextStep({ ...held, observed: TaskState.RUNNING, assigned: false }), { kind: "shutdown" });
});
