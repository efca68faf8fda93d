import assert from "node:assert/strict";
import { test } from "node:test";
import { InvariantError } from "../../base/errors/invariant.js";
import { TaskState, TaskStatus } from "../../proto/gen/skein/v1/types.js";
import { isTerminal, nextStep, rank, type Step, type StepOutcome, statusAfter } from "./task-machine.js";

const FACTS = { container: undefined, hostPorts: [], health: "" };
const OK: StepOutcome = { kind: "success" };
const BAD: StepOutcome = { kind: "failure", failure: { cause: "oom", message: "too much" } };
const STATES = Object.values(TaskState).filter((state) => state !== TaskState.UNRECOGNIZED);

function short(state: TaskState): string {
  return state.replace("TASK_STATE_", "");
}

/** Runs a task until it rests; the transcript of its steps. */
function run(desired: TaskState, fail?: Step["kind"], from: TaskState = TaskState.ASSIGNED): string {
  let status = TaskStatus.fromPartial({ state: from });
  const lines: string[] = [];
  for (let count = 0; count < 20; count++) {
    const step = nextStep({ observed: status.state, desired, assigned: true, removed: false });
    if (step.kind === "rest") return `${lines.join(" ")} rest`;
    status = statusAfter(status, step, {
      outcome: step.kind === fail ? BAD : OK,
      facts: FACTS,
      nowMs: count,
    });
    lines.push(step.kind === "report" ? short(status.state) : `${step.kind}>${short(status.state)}`);
  }
  return lines.join(" ");
}

test("a task goes through its states one at a time", () => {
  assert.equal(
    run(TaskState.RUNNING),
    "ACCEPTED PREPARING prepare>READY STARTING start>RUNNING wait>COMPLETE rest",
  );
  assert.equal(run(TaskState.READY), "ACCEPTED PREPARING prepare>READY rest");
});

test("failures before the start reject, later ones fail", () => {
  assert.equal(run(TaskState.RUNNING, "prepare"), "ACCEPTED PREPARING prepare>REJECTED rest");
  assert.equal(
    run(TaskState.RUNNING, "start"),
    "ACCEPTED PREPARING prepare>READY STARTING start>FAILED rest",
  );
  assert.match(run(TaskState.RUNNING, "wait"), /wait>FAILED rest$/);
});

test("a task desired to stop is shut down from wherever it is", () => {
  for (const from of STATES.filter((state) => !isTerminal(state))) {
    assert.equal(run(TaskState.SHUTDOWN, undefined, from), "shutdown>SHUTDOWN rest", from);
    assert.equal(run(TaskState.REMOVE, undefined, from), "shutdown>SHUTDOWN rest", from);
  }
});

test("a task that is taken away is shut down, removed, forgotten", () => {
  const away = { desired: TaskState.RUNNING, assigned: false };
  assert.deepEqual(nextStep({ ...away, observed: TaskState.RUNNING, removed: false }), { kind: "shutdown" });
  assert.deepEqual(nextStep({ ...away, observed: TaskState.SHUTDOWN, removed: false }), { kind: "remove" });
  assert.deepEqual(nextStep({ ...away, observed: TaskState.SHUTDOWN, removed: true }), { kind: "done" });
});

test("no step takes the observed state back, whatever the situation", () => {
  for (const observed of STATES) {
    for (const desired of STATES) {
      const step = nextStep({ observed, desired, assigned: true, removed: false });
      for (const outcome of [OK, BAD]) {
        const before = TaskStatus.fromPartial({ state: observed });
        const after = statusAfter(before, step, { outcome, facts: FACTS, nowMs: 1 });
        assert.ok(rank(after.state) >= rank(observed), `${observed} ${desired} ${step.kind}`);
      }
    }
  }
  const running = TaskStatus.fromPartial({ state: TaskState.RUNNING });
  assert.throws(
    () => statusAfter(running, { kind: "prepare" }, { outcome: OK, facts: FACTS, nowMs: 1 }),
    InvariantError,
  );
});
