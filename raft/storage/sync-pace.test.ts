/**
 * When a sync is waited for in the event loop, and when not any more.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SyncPace } from "./sync-pace.js";

function noteMany(pace: SyncPace, count: number, tookMs: number): void {
  for (let i = 0; i < count; i++) pace.note(tookMs);
}

test("a disk must have been quick several times in a row", () => {
  const pace = new SyncPace();
  assert.equal(pace.mayHold(300), false);
  noteMany(pace, 7, 0.2);
  pace.note(3);
  noteMany(pace, 7, 0.2);
  assert.equal(pace.mayHold(300), false);
  pace.note(0.2);
  assert.equal(pace.mayHold(300), true);
});

test("large writes never hold the thread", () => {
  const pace = new SyncPace();
  noteMany(pace, 8, 0.2);
  assert.equal(pace.mayHold(64 * 1024), true);
  assert.equal(pace.mayHold(64 * 1024 + 1), false);
});

test("one slow write ends it at once, for twice as many writes each time", () => {
  const pace = new SyncPace();
  for (const trial of [8, 16, 32]) {
    noteMany(pace, trial - 1, 0.2);
    assert.equal(pace.mayHold(300), false);
    pace.note(0.2);
    assert.equal(pace.mayHold(300), true);
    pace.note(2.1);
    assert.equal(pace.mayHold(300), false);
  }
});

test("a stall is remembered for long", () => {
  const pace = new SyncPace();
  noteMany(pace, 8, 0.2);
  pace.note(21);
  noteMany(pace, 4_095, 0.2);
  assert.equal(pace.mayHold(300), false);
  pace.note(0.2);
  assert.equal(pace.mayHold(300), true);
});

test("a long time of quick writes is trusted again like at first", () => {
  const pace = new SyncPace();
  noteMany(pace, 8, 0.2);
  pace.note(5);
  noteMany(pace, 16 + 1_000, 0.2);
  pace.note(5);
  noteMany(pace, 16, 0.2);
  assert.equal(pace.mayHold(300), true);
});

test("a slow disk is never waited for in the thread", () => {
  const pace = new SyncPace();
  noteMany(pace, 10_000, 4);
  assert.equal(pace.mayHold(1), false);
});
