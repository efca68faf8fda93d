/**
 * Stations as a node stamps them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type PhaseMark, TaskPhase, TaskState, TaskStatus } from "../../proto/gen/skein/v1/types.js";
import { nextStep, statusAfter } from "./task-machine.js";
import { withStations } from "./task-stations.js";

const text = (phases: readonly PhaseMark[]): string =>
  phases.map(({ phase, atMs }) => `${phase.replace("TASK_PHASE_", "").toLowerCase()} ${atMs}`).join(", ");

test("a station is stamped once, in order, and not before the node's own one before it", () => {
  const leader = [{ phase: TaskPhase.SCHEDULED, atMs: 5_000 }];
  const once = withStations(leader, [{ phase: TaskPhase.ACCEPTED, atMs: 1_000 }]);
  assert.equal(text(once), "scheduled 5000, accepted 1000", "clocks differ: the leader sorts that out");
  assert.equal(withStations(once, [{ phase: TaskPhase.ACCEPTED, atMs: 2_000 }]), once);
  const back = withStations(once, [{ phase: TaskPhase.PREPARED, atMs: 900 }]);
  assert.equal(text(back), "scheduled 5000, accepted 1000, prepared 1000", "a clock that was set back");
});

test("the task machine stamps every station on the way of a task", () => {
  let status = TaskStatus.fromPartial({ state: TaskState.ASSIGNED });
  const stations: PhaseMark[] = [];
  for (let nowMs = 10; ; nowMs += 10) {
    const step = nextStep({
      observed: status.state,
      desired: TaskState.RUNNING,
      assigned: true,
      removed: false,
    });
    if (step.kind === "rest") break;
    if (step.kind === "prepare") stations.push({ phase: TaskPhase.PULLED, atMs: nowMs - 5 });
    if (step.kind === "start") stations.push({ phase: TaskPhase.STARTED, atMs: nowMs - 3 });
    const facts = { container: undefined, hostPorts: [], health: "", stations };
    status = statusAfter(status, step, { outcome: { kind: "success" }, facts, nowMs });
  }
  assert.equal(text(status.phases), "accepted 10, pulled 25, prepared 30, started 47, healthy 50, ended 60");
});

test("a task that is rejected ends without the stations it did not reach", () => {
  const facts = { container: undefined, hostPorts: [], health: "", stations: [] };
  const before = TaskStatus.fromPartial({ state: TaskState.PREPARING });
  const outcome = { kind: "failure", failure: { cause: "image-not-found", message: "no" } } as const;
  const after = statusAfter(before, { kind: "prepare" }, { outcome, facts, nowMs: 7 });
  assert.equal(after.state, TaskState.REJECTED);
  assert.equal(text(after.phases), "ended 7");
});
