/**
 * Scenarios of jobs: run to completion, so many at a time, retried as the policy says, once per iteration.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServiceSpec, TaskState } from "../../proto/gen/skein/v1/types.js";
import { ControlLab } from "../../test/support/control-lab.js";

const onFailure = { restart: { condition: "RESTART_CONDITION_ON_FAILURE", delayMs: 1_000 } } as const;

function job(maxConcurrent: number, totalCompletions: number): ServiceSpec["mode"] & object {
  return { $case: "replicatedJob", value: { maxConcurrent, totalCompletions } };
}

async function finishAll(lab: ControlLab, id: string): Promise<number> {
  const due = lab.tasks(id).filter((task) => task.status?.state === TaskState.RUNNING);
  for (const task of due) await lab.setStatus(task.id, { state: TaskState.COMPLETE });
  await lab.settle();
  return due.length;
}

test("a replicated job runs to its number of completions, so many at a time", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("job", { mode: job(2, 5), task: onFailure });
  const rounds = [await finishAll(lab, "job"), await finishAll(lab, "job"), await finishAll(lab, "job")];
  assert.deepEqual([...rounds, await finishAll(lab, "job")], [2, 2, 1, 0]);
  await lab.advance(60_000);
  assert.deepEqual(
    lab.tasks("job").map((task) => task.status?.state),
    Array(5).fill(TaskState.COMPLETE),
  );
  const slots = lab.tasks("job").map((task) => task.slot);
  assert.deepEqual(slots, [0, 1, 2, 3, 4], "numbered from 0, as the docker CLI counts them");
  await lab.close();
});

test("a failed task of a job is tried again after the delay", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("job", { mode: job(1, 1), task: onFailure });
  await lab.crash(lab.tasks("job")[0]?.id ?? "", 2);
  assert.deepEqual(lab.show("job"), [
    "0 n1 READY/READY app:1 restart: exit code 2",
    "0 n1 FAILED/SHUTDOWN app:1 job: iteration 0",
  ]);
  await lab.advance(1_000);
  assert.equal(await finishAll(lab, "job"), 1);
  assert.equal(await finishAll(lab, "job"), 0);
  await lab.close();
});

test("a global job runs once on every node, also on one that comes later", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("job", { mode: { $case: "globalJob", value: {} }, task: onFailure });
  assert.equal(await finishAll(lab, "job"), 2);
  await lab.addNodes("n3");
  await lab.settle();
  assert.equal(await finishAll(lab, "job"), 1);
  assert.equal(await finishAll(lab, "job"), 0);
  await lab.close();
});

test("a new specification starts the next iteration, which removes the tasks of the one before", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1");
  await lab.createService("job", { mode: job(1, 1), task: onFailure });
  await finishAll(lab, "job");
  await lab.setImage("job", "app:2");
  assert.deepEqual(lab.show("job"), ["0 n1 RUNNING/COMPLETE app:2 job: iteration 1"]);
  await lab.close();
});

test("a job's task moves when its node is lost", async () => {
  const lab = new ControlLab();
  await lab.addNodes("n1", "n2");
  await lab.createService("job", { mode: job(1, 1), task: onFailure });
  const home = lab.tasks("job")[0]?.nodeId ?? "";
  await lab.nodeDown(home);
  assert.equal(lab.tasks("job")[0]?.status?.state, TaskState.RUNNING);
  assert.notEqual(lab.tasks("job")[0]?.nodeId, home);
  await lab.close();
});
