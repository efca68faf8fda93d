import assert from "node:assert/strict";
import { test } from "node:test";

import { Progress } from "./progress.js";

const LIMITS = { inflightMessagesMax: 2, inflightBytesMax: 1_000, electionTicks: 10 };

function progressAt(match: number, next: number): Progress {
  const progress = new Progress(2, next, false, LIMITS);
  progress.match = match;
  return progress;
}

test("a probing peer gets one message until it answers (Raft paper 5.3)", () => {
  const progress = progressAt(0, 5);
  assert.equal(progress.isPaused(), false);
  progress.sent(3, 7, 30);
  assert.equal(progress.isPaused(), true);
  assert.equal(progress.next, 5, "while probing, next does not run ahead");
  progress.acknowledge(7);
  assert.deepEqual([progress.isPaused(), progress.match, progress.next], [false, 7, 8]);
});

test("a replicating peer runs ahead until the window is full (thesis 10.2.1)", () => {
  const progress = progressAt(4, 5);
  progress.becomeReplicate();
  progress.sent(2, 6, 10);
  assert.deepEqual([progress.next, progress.isPaused()], [7, false]);
  progress.sent(1, 7, 10);
  assert.deepEqual([progress.next, progress.isPaused()], [8, true]);
});

test("a stale refusal changes nothing", () => {
  const probing = progressAt(3, 8);
  assert.equal(probing.refuse(5, 4), false, "not the message that is out");
  const replicating = progressAt(5, 6);
  replicating.becomeReplicate();
  replicating.sent(2, 7, 10);
  assert.equal(replicating.refuse(5, 2), false, "the refused index was acknowledged since");
  assert.deepEqual([replicating.state, replicating.next], ["replicate", 8]);
});

test("a refusal backs up to the hint, never to or below match", () => {
  const progress = progressAt(3, 10);
  assert.equal(progress.refuse(9, 6), true);
  assert.equal(progress.next, 7);
  assert.equal(progress.refuse(6, 0), true);
  assert.equal(progress.next, 4);
});

test("a refused replicating peer goes back to probing after its match", () => {
  const progress = progressAt(5, 6);
  progress.becomeReplicate();
  progress.sent(4, 9, 10);
  assert.equal(progress.refuse(9, 5), true);
  assert.deepEqual([progress.state, progress.next, progress.inflight.count], ["probe", 6, 0]);
});

test("a delivered snapshot is where probing goes on, a failed one is not (Raft paper 7)", () => {
  const delivered = progressAt(2, 3);
  delivered.becomeSnapshot(50);
  assert.equal(delivered.isPaused(), true);
  delivered.snapshotEnded(true);
  assert.deepEqual([delivered.state, delivered.next, delivered.isPaused()], ["probe", 51, true]);
  const failed = progressAt(2, 3);
  failed.becomeSnapshot(50);
  failed.snapshotEnded(false);
  assert.deepEqual([failed.state, failed.next], ["probe", 3]);
});

test("progress shows itself", () => {
  const progress = progressAt(4, 9);
  assert.deepEqual(progress.view(), {
    raftId: 2,
    match: 4,
    next: 9,
    state: "probe",
    learner: false,
    recentlyActive: false,
    silentTicks: Number.POSITIVE_INFINITY,
    caughtUp: false,
  });
  progress.heard();
  assert.deepEqual([progress.view().recentlyActive, progress.view().silentTicks], [true, 0]);
});
