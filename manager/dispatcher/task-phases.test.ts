/**
 * Stations of nodes in the leader's account.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { type PhaseMark, TaskPhase, TaskState, taskPhaseToNumber } from "../../proto/gen/skein/v1/types.js";
import { mergedPhases } from "./task-phases.js";
import { withReportedStatus } from "./task-status.js";

const { ALLOCATED, SCHEDULED, ACCEPTED, PULLED, PREPARED, STARTED, HEALTHY, STOPPING, ENDED } = TaskPhase;
const marks = (...pairs: readonly (readonly [TaskPhase, number])[]): PhaseMark[] =>
  pairs.map(([phase, atMs]) => ({ phase, atMs }));

test("a node's stamps follow the leader's; the first stamp stays", () => {
  const stored = marks([ALLOCATED, 100], [SCHEDULED, 110]);
  const once = mergedPhases(stored, marks([SCHEDULED, 9], [ACCEPTED, 115], [PULLED, 120]), 200);
  assert.deepEqual(once, marks([ALLOCATED, 100], [SCHEDULED, 110], [ACCEPTED, 115], [PULLED, 120]));
  assert.equal(mergedPhases(once, marks([ACCEPTED, 300], [PULLED, 400]), 500), once);
});

test("a node whose clock is slow, or fast, still tells how long things took", () => {
  const stored = marks([SCHEDULED, 1_000_000]);
  for (const skewMs of [-600_000, 600_000, 3]) {
    const early = marks([ACCEPTED, 1_000_010 + skewMs], [PREPARED, 1_000_500 + skewMs]);
    const late = [...early, ...marks([STARTED, 1_000_700 + skewMs], [ENDED, 1_090_700 + skewMs])];
    const merged = mergedPhases(mergedPhases(stored, early, 1_000_510), late, 1_090_710);
    const at = (phase: TaskPhase): number => merged.find((mark) => mark.phase === phase)?.atMs ?? -1;
    assert.equal(at(ENDED) - at(STARTED), 90_000, `clock off by ${skewMs} ms`);
    assert.equal(at(STARTED) - at(PREPARED), 200);
    assert.ok(at(ACCEPTED) >= 1_000_000);
  }
});

test("a task that is told to stop while it is prepared keeps its stations in order", () => {
  const stored = marks([SCHEDULED, 10], [STOPPING, 20]);
  const merged = mergedPhases(stored, marks([ACCEPTED, 12], [PREPARED, 25], [ENDED, 30]), 40);
  assert.deepEqual(
    merged,
    marks([SCHEDULED, 10], [ACCEPTED, 12], [PREPARED, 20], [STOPPING, 20], [ENDED, 30]),
  );
});

test("whatever nodes report, stations stand in order and in time, each once", () => {
  const phase = fc.constantFrom(ALLOCATED, SCHEDULED, ACCEPTED, PULLED, PREPARED, STARTED, HEALTHY, ENDED);
  const report = fc.uniqueArray(fc.record({ phase, atMs: fc.nat(1_000) }), {
    selector: (mark) => mark.phase,
    maxLength: 8,
  });
  fc.assert(
    fc.property(fc.array(report, { maxLength: 4 }), fc.nat(1_000), (reports, nowMs) => {
      let merged: readonly PhaseMark[] = marks([SCHEDULED, 300]);
      for (const each of reports) merged = mergedPhases(merged, each, nowMs);
      for (const [at, mark] of merged.entries()) {
        const before = merged[at - 1];
        if (before === undefined) continue;
        assert.ok(taskPhaseToNumber(before.phase) < taskPhaseToNumber(mark.phase));
        assert.ok(before.atMs <= mark.atMs, JSON.stringify(merged));
      }
    }),
  );
});

test("a node's word about a task keeps what the leader stamped", () => {
  const task = Task.fromPartial({
    id: "t",
    nodeId: "n",
    status: { state: TaskState.ASSIGNED, timestampMs: 5, phases: marks([ALLOCATED, 1], [SCHEDULED, 2]) },
  });
  const update = TaskStatusUpdate.fromPartial({
    taskId: "t",
    status: { state: TaskState.PREPARING, timestampMs: 6, phases: marks([ACCEPTED, 6]) },
  });
  const after = withReportedStatus(task, { nodeId: "n", update, nowMs: 7 });
  assert.deepEqual(after?.status?.phases, marks([ALLOCATED, 1], [SCHEDULED, 2], [ACCEPTED, 6]));
});
