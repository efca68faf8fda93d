import assert from "node:assert/strict";
import { test } from "node:test";
import { CancelledError } from "../../base/errors/errors.js";
import { Gate, KeyedLock } from "./keyed-lock.js";

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

test("tasks of one key run one after the other, also after a failure; keys do not wait for each other", async () => {
  const lock = new KeyedLock();
  const seen: string[] = [];
  const first = deferred();
  const failing = lock.run("a", async () => {
    await first.promise;
    seen.push("a1");
    throw new Error("first failed");
  });
  const second = lock.run("a", async () => seen.push("a2"));
  await lock.run("b", async () => seen.push("b1"));
  first.resolve();
  await assert.rejects(failing, /first failed/);
  await second;
  assert.deepEqual(seen, ["b1", "a1", "a2"]);
});

test("a cancelled task that waits is refused at once and never begins; one that runs goes to its end", async () => {
  const gate = new Gate(1);
  const abort = new AbortController();
  const running = deferred();
  const seen: string[] = [];
  const first = gate.run(() => running.promise.then(() => seen.push("first")), { signal: abort.signal });
  const second = gate.run(async () => seen.push("second"), { signal: abort.signal });
  const third = gate.run(async () => seen.push("third"));
  await Promise.resolve();
  abort.abort();
  await assert.rejects(second, CancelledError);
  assert.deepEqual(seen, []);
  running.resolve();
  await Promise.all([first, third]);
  assert.deepEqual(seen, ["first", "third"]);
});

test("a gate lets so many in, and a place is free again after a failure", async () => {
  const gate = new Gate(2);
  let inside = 0;
  let insideMax = 0;
  const task = async (fails: boolean): Promise<void> => {
    inside += 1;
    insideMax = Math.max(insideMax, inside);
    await Promise.resolve();
    inside -= 1;
    if (fails) throw new Error("failed");
  };
  const outcomes = await Promise.allSettled([1, 2, 3, 4, 5].map((n) => gate.run(() => task(n % 2 === 0))));
  assert.equal(insideMax, 2);
  assert.equal(outcomes.filter((outcome) => outcome.status === "fulfilled").length, 3);
});
