import assert from "node:assert/strict";
import { test } from "node:test";
import type { TaskStatusBatch, TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import { TaskState, TaskStatus } from "../../proto/gen/skein/v1/types.js";
import { BATCHES_IN_FLIGHT_MAX, StatusReporter } from "./status-reporter.js";

function update(taskId: string, state: TaskState): TaskStatusUpdate {
  return { taskId, status: TaskStatus.fromPartial({ state }), gatewayAddress: "" };
}

function setUp() {
  const reporter = new StatusReporter();
  const batches: TaskStatusBatch[] = [];
  const texts = (): string[] =>
    batches.map(
      ({ sequence, updates }) =>
        `${sequence}: ${updates.map((one) => `${one.taskId} ${one.status?.state.slice(11)}`).join(", ")}`,
    );
  return { reporter, batches, texts, attach: () => reporter.attach((batch) => batches.push(batch)) };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("what is reported in one turn goes in one batch, the newest of each task only", async () => {
  const { reporter, texts, attach } = setUp();
  attach();
  reporter.report(update("a", TaskState.ACCEPTED));
  reporter.report(update("b", TaskState.ACCEPTED));
  reporter.report(update("a", TaskState.PREPARING));
  await turn();
  assert.deepEqual(texts(), ["1: a PREPARING, b ACCEPTED"]);
});

test("steps on the way wait for the acknowledgement; what people wait for does not", async () => {
  const { reporter, texts, attach } = setUp();
  attach();
  reporter.report(update("a", TaskState.ACCEPTED));
  await turn();
  reporter.report(update("a", TaskState.PREPARING));
  await turn();
  assert.equal(texts().length, 1);
  reporter.report(update("b", TaskState.RUNNING));
  await turn();
  assert.deepEqual(texts().slice(1), ["2: a PREPARING, b RUNNING"]);
  reporter.report(update("a", TaskState.STARTING));
  await turn();
  reporter.acknowledge(2);
  assert.deepEqual(texts().slice(2), ["3: a STARTING"]);
});

test("what a session did not acknowledge goes out in the next, unless something newer is known", async () => {
  const { reporter, batches, texts, attach } = setUp();
  attach();
  reporter.report(update("a", TaskState.READY));
  reporter.report(update("b", TaskState.RUNNING));
  await turn();
  reporter.detach();
  reporter.report(update("a", TaskState.FAILED));
  await turn();
  assert.equal(batches.length, 1);
  attach();
  assert.deepEqual(texts().slice(1).join().split(": ")[1]?.split(", ").sort(), ["a FAILED", "b RUNNING"]);
  assert.equal(reporter.unacknowledgedCount, 2);
  reporter.acknowledge(2);
  assert.equal(reporter.unacknowledgedCount, 0);
});

test("batches in flight are bounded", async () => {
  const { reporter, batches, attach } = setUp();
  attach();
  for (let at = 0; at < BATCHES_IN_FLIGHT_MAX + 5; at++) {
    reporter.report(update(`t${at}`, TaskState.RUNNING));
    await turn();
  }
  assert.equal(batches.length, BATCHES_IN_FLIGHT_MAX);
  reporter.acknowledge(1);
  assert.equal(batches.length, BATCHES_IN_FLIGHT_MAX + 1);
  assert.equal(batches.at(-1)?.updates.length, 5);
});
