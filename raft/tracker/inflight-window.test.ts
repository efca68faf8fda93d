import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { InvariantError } from "../../base/errors/invariant.js";
import { InflightWindow } from "./inflight-window.js";

test("the window is full by count, and acknowledging frees it", () => {
  const window = new InflightWindow({ countMax: 2, bytesMax: 1_000 });
  window.add(5, 10);
  assert.equal(window.isFull(), false);
  window.add(7, 10);
  assert.equal(window.isFull(), true);
  assert.throws(() => window.add(8, 1), InvariantError);
  window.freeTo(6);
  assert.deepEqual([window.count, window.bytes, window.isFull()], [1, 10, false]);
});

test("the window is full by bytes, but one large message always fits", () => {
  const window = new InflightWindow({ countMax: 10, bytesMax: 100 });
  window.add(1, 5_000);
  assert.equal(window.isFull(), true);
  window.freeTo(1);
  assert.deepEqual([window.count, window.bytes], [0, 0]);
});

test("freeing the oldest makes room for one", () => {
  const window = new InflightWindow({ countMax: 2, bytesMax: 100 });
  window.freeOldest();
  window.add(1, 1);
  window.add(2, 2);
  window.freeOldest();
  assert.deepEqual([window.count, window.bytes], [1, 2]);
});

test("any order of adding and freeing agrees with a plain list", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 9 }))), (steps) => {
      const window = new InflightWindow({ countMax: 6, bytesMax: 30 });
      let model: { lastIndex: number; bytes: number }[] = [];
      let lastIndex = 0;
      for (const [isAdd, amount] of steps) {
        if (isAdd && !window.isFull()) {
          lastIndex += amount;
          window.add(lastIndex, amount);
          model.push({ lastIndex, bytes: amount });
        } else if (!isAdd) {
          const to = lastIndex - amount;
          window.freeTo(to);
          model = model.filter((sent) => sent.lastIndex > to);
        }
        const bytes = model.reduce((sum, sent) => sum + sent.bytes, 0);
        if (window.count !== model.length || window.bytes !== bytes) return false;
      }
      return true;
    }),
  );
});
