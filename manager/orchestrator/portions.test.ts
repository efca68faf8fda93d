/**
 * Lists gone through in portions come out as if gone through at once.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { atOnce, filterInPortions, sortInPortions } from "./portions.js";

test("filtered and sorted, stable, as at once", () => {
  const item = fc.record({ key: fc.nat({ max: 20 }), tag: fc.nat() });
  fc.assert(
    fc.property(fc.array(item, { maxLength: 5_000, size: "max" }), (items) => {
      const compare = (a: { key: number }, b: { key: number }): number => a.key - b.key;
      assert.deepEqual(atOnce(sortInPortions(items, compare)), [...items].sort(compare));
      const accepts = ({ key }: { key: number }): boolean => key % 3 === 0;
      assert.deepEqual(atOnce(filterInPortions(items, accepts)), items.filter(accepts));
    }),
    { numRuns: 30 },
  );
});

test("a long list has many chances to pause", () => {
  const numbers = Array.from({ length: 10_000 }, (_, at) => (at * 7_919) % 10_007);
  for (const portions of [
    sortInPortions(numbers, (a, b) => a - b),
    filterInPortions(numbers, (n) => n > 3),
  ]) {
    let pauses = 0;
    for (const _ of portions) pauses += 1;
    assert.ok(pauses >= 39, `${pauses}`);
  }
});
