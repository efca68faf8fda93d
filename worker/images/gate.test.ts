/** The gate's bound, and that it follows a change while tasks wait. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Gate } from "./keyed-lock.js";

test("a gate lets as many through as its bound says, also after that changed", async () => {
  const gate = new Gate(1);
  let running = 0;
  let most = 0;
  const ends: (() => void)[] = [];
  const task = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await new Promise<void>((end) => ends.push(end));
    running -= 1;
  };
  const all = Promise.all(Array.from({ length: 6 }, () => gate.run(task)));
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  await settle();
  assert.equal(running, 1);
  gate.resize(3);
  await settle();
  assert.equal(running, 3);
  gate.resize(1);
  ends.splice(0, 2).forEach((end) => void end());
  await settle();
  assert.equal(running, 1, "a smaller bound takes nobody new until it is met");
  while (ends.length > 0) {
    ends.shift()?.();
    await settle();
  }
  await all;
  assert.equal(most, 3);
  assert.equal(gate.isFull, false);
});
