import assert from "node:assert/strict";
import { test } from "node:test";
import { Task } from "../../proto/gen/skein/v1/objects.js";
import { REMOVED_KEPT_MS, REMOVED_TASKS_MAX, RemovedTasks } from "./removed-tasks.js";

const task = (id: string, serviceId = "s1", nodeId = "n1"): Task =>
  Task.fromPartial({ id, serviceId, nodeId, serviceAnnotations: { name: "web" } });

test("removed tasks are found by id, service and name, of the newest service of that name", () => {
  const removed = new RemovedTasks(() => 0);
  for (const one of [task("t1"), task("t2"), task("t3", "s2"), task("t4", "s2", "")]) removed.note(one);
  const found = (reference: string): string =>
    removed
      .find(reference)
      .map(({ id }) => id)
      .join();
  assert.deepEqual([found("t1"), found("s1"), found("web"), found("t4")], ["t1", "t1,t2", "t3", ""]);
});

test("they are forgotten after a while, and beyond a number", () => {
  let nowMs = 0;
  const removed = new RemovedTasks(() => nowMs);
  for (let count = 0; count < REMOVED_TASKS_MAX + 2; count++) removed.note(task(`t${count}`));
  assert.equal(removed.get("t1"), undefined);
  assert.ok(removed.get("t2"));
  nowMs = REMOVED_KEPT_MS + 1;
  assert.equal(removed.get("t2"), undefined);
});
