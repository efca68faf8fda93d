import assert from "node:assert/strict";
import { test } from "node:test";
import { Scope } from "./scope.js";

test("a scope closes what it owns once, newest first, and tells every error", async () => {
  const closed: string[] = [];
  const scope = new Scope();
  for (const name of ["a", "b", "c"]) {
    scope.own({
      close: () => {
        closed.push(name);
        if (name !== "b") throw new Error(name);
      },
    });
  }
  await assert.rejects(scope.close(), (error: AggregateError) => {
    assert.deepEqual(
      error.errors.map((each: Error) => each.message),
      ["c", "a"],
    );
    return true;
  });
  await assert.rejects(scope.close(), /2 resources failed to close/);
  assert.deepEqual(closed, ["c", "b", "a"]);
});

test("a resource that comes after the scope was closed is closed at once", async () => {
  const scope = new Scope();
  await scope.close();
  let closed = 0;
  const late = { close: () => void closed++ };
  assert.equal(scope.own(late), late);
  assert.equal(closed, 1);
  scope.own({ close: () => Promise.reject(new Error("late")) });
  await assert.rejects(scope.close(), /late/);
  assert.equal(closed, 1);
});

test("a resource that comes while the scope closes is closed before that is over", async () => {
  const scope = new Scope();
  const closed: string[] = [];
  const late = { close: () => void closed.push("late") };
  scope.own({ close: async () => void scope.own(late) });
  await scope.close();
  assert.deepEqual(closed, ["late"]);
});
