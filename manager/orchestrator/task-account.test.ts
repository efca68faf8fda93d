/**
 * Stations and waits of a task.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskPhase, TaskStatus, type TaskWait } from "../../proto/gen/skein/v1/types.js";
import { openWait, phaseAtMs, WAITS_MAX, withPhase, withWait, withWaitsOver } from "./task-account.js";

test("a station is stamped once, and in order whoever comes first", () => {
  let status = TaskStatus.fromPartial({});
  status = withPhase(status, TaskPhase.STOPPING, 30);
  status = withPhase(status, TaskPhase.STARTED, 20);
  assert.equal(withPhase(status, TaskPhase.STARTED, 25), status);
  assert.deepEqual(status.phases, [
    { phase: TaskPhase.STARTED, atMs: 20 },
    { phase: TaskPhase.STOPPING, atMs: 30 },
  ]);
  assert.equal(phaseAtMs(Task.fromPartial({ status }), TaskPhase.STARTED), 20);
  assert.equal(phaseAtMs(Task.fromPartial({ status }), TaskPhase.ENDED), undefined);
});

test("an open wait keeps its beginning when its words change, and ends once", () => {
  let waits: readonly TaskWait[] = withWait([], { cause: "drain", message: "a", sinceMs: 1 });
  waits = withWait(waits, { cause: "drain", message: "b", sinceMs: 5 });
  assert.deepEqual(waits, [{ cause: "drain", message: "b", sinceMs: 1, untilMs: 0, refusals: [] }]);
  assert.equal(openWait(Task.fromPartial({ waits: [...waits] }), "drain")?.message, "b");
  waits = withWaitsOver(waits, { causes: ["drain"], nowMs: 9 });
  assert.equal(waits[0]?.untilMs, 9);
  assert.equal(withWaitsOver(waits, { causes: ["drain"], nowMs: 10 }), waits);
});

test("waits that are over give way to new ones", () => {
  let waits: readonly TaskWait[] = withWait([], { cause: "open", message: "", sinceMs: 0 });
  for (let i = 1; i <= WAITS_MAX + 1; i++) {
    waits = withWait(waits, { cause: `c${i}`, message: "", sinceMs: i });
    waits = withWaitsOver(waits, { causes: [`c${i}`], nowMs: i });
  }
  assert.deepEqual(
    waits.map(({ cause }) => cause),
    ["open", "c3", "c4", "c5"],
  );
});
