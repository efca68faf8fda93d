import assert from "node:assert/strict";
import { test } from "node:test";
import { CatchUp } from "./catch-up.js";

const E = 10;

function ticks(learner: CatchUp, count: number, lastIndex: number): void {
  for (let i = 0; i < count; i++) learner.tick(lastIndex);
}

test("a learner is caught up after a round that was shorter than an election timeout (thesis 4.2.1)", () => {
  const learner = new CatchUp(1_000);
  ticks(learner, 30, 1_300);
  learner.acknowledged(999, 1_300);
  assert.equal(learner.isCaughtUp(E), false, "the first round is not through");
  learner.acknowledged(1_000, 1_300);
  assert.equal(learner.isCaughtUp(E), false, "it took three timeouts");
  ticks(learner, 9, 1_390);
  learner.acknowledged(1_300, 1_390);
  assert.equal(learner.isCaughtUp(E), true, "entries that are on their way do not matter");
});

test("a learner that falls behind again is not caught up any more", () => {
  const learner = new CatchUp(5);
  learner.acknowledged(5, 5);
  ticks(learner, 100, 5);
  assert.equal(learner.isCaughtUp(E), true, "nothing new, nothing missing");
  ticks(learner, 11, 6); // the first tick begins the round
  assert.equal(learner.isCaughtUp(E), false);
  learner.acknowledged(6, 7);
  assert.equal(learner.isCaughtUp(E), false, "that round was too long");
  ticks(learner, 2, 8);
  learner.acknowledged(7, 8);
  assert.equal(learner.isCaughtUp(E), true);
});

test("a learner that was slow to begin is caught up when it holds all there is", () => {
  const learner = new CatchUp(19);
  ticks(learner, 100, 19);
  learner.acknowledged(19, 19);
  assert.equal(learner.isCaughtUp(E), true);
});
