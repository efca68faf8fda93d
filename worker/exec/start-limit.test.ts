import assert from "node:assert/strict";
import { test } from "node:test";
import { CancelledError } from "../../base/errors/errors.js";
import { StartLimit } from "./start-limit.js";

test("at most so many run at once, in order, and a cancelled waiter leaves", async () => {
  const limit = new StartLimit({ concurrencyMax: 2 });
  const order: string[] = [];
  const finish: (() => void)[] = [];
  const begin = (name: string, signal?: AbortSignal): Promise<void> =>
    limit.run(
      () => {
        order.push(name);
        return new Promise((resolve) => finish.push(resolve));
      },
      signal === undefined ? {} : { signal },
    );
  const abort = new AbortController();
  const all = [begin("a"), begin("b")];
  const cancelled = assert.rejects(begin("c", abort.signal), CancelledError);
  all.push(begin("d"));
  await Promise.resolve();
  assert.deepEqual(order, ["a", "b"]);
  abort.abort();
  await cancelled;
  finish[0]?.();
  await all[0];
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(order, ["a", "b", "d"]);
  for (const done of finish) done();
  await Promise.all(all);
});
