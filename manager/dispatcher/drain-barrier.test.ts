import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { DrainBarrier } from "./drain-barrier.js";
import { DRAIN_WAIT_MS } from "./drain-rounds.js";

function setUp(...managers: string[]) {
  const clock = new ManualClock();
  const world = { managers: new Set(managers), isNodeAstray: false };
  const barrier = new DrainBarrier({
    clock,
    managers: () => world.managers,
    isNodeAstray: () => world.isNodeAstray,
  });
  const answers: string[] = [];
  const tell = (manager: string, revision: number): void => {
    barrier.tell(manager, revision).then(
      (drained) => answers.push(`${manager} ${revision}: ${drained}`),
      (error: unknown) => answers.push(String(error)),
    );
  };
  return { barrier, clock, world, answers, tell };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("managers are answered when all that vouch for nodes have told as much", async () => {
  const { answers, tell } = setUp("m1", "m2");
  tell("m1", 7);
  await turn();
  assert.deepEqual(answers, []);
  tell("m2", 6);
  await turn();
  assert.deepEqual(answers, ["m2 6: true"]);
  tell("m2", 9);
  await turn();
  assert.deepEqual(answers, ["m2 6: true", "m1 7: true"]);
});

test("a manager that vouches for nobody is not waited for, a node on its way between managers is", async () => {
  const { barrier, world, answers, tell } = setUp("m1", "m2");
  world.isNodeAstray = true;
  tell("m1", 7);
  world.managers.delete("m2");
  barrier.check();
  await turn();
  assert.deepEqual(answers, []);
  world.isNodeAstray = false;
  barrier.check();
  await turn();
  assert.deepEqual(answers, ["m1 7: true"]);
});

test("a manager at which a session begins has to tell again", async () => {
  const { barrier, answers, tell } = setUp("m1", "m2");
  tell("m2", 7);
  barrier.retract("m2");
  tell("m1", 7);
  await turn();
  assert.deepEqual(answers, []);
  tell("m2", 7);
  await turn();
  assert.deepEqual(answers, ["m2 7: true", "m1 7: true", "m2 7: true"]);
});

test("who waits too long, or for a leader that is one no longer, is told so", async () => {
  const { barrier, clock, answers, tell } = setUp("m1", "m2");
  tell("m1", 7);
  clock.advance(DRAIN_WAIT_MS);
  await turn();
  assert.deepEqual(answers, ["m1 7: false"]);
  tell("m1", 8);
  barrier.close();
  tell("m1", 9);
  await turn();
  assert.deepEqual(answers.slice(1), ["m1 8: false", "m1 9: false"]);
});
