import assert from "node:assert/strict";
import { test } from "node:test";
import { Histogram } from "./histogram.js";

test("a value falls into the first bucket whose bound is not below it", () => {
  const histogram = new Histogram([1, 2, 5]);
  for (const value of [0, 1, 1.5, 2, 5, 5.1, 100]) histogram.observe(value);
  assert.deepEqual(histogram.values(), { bounds: [1, 2, 5], counts: [2, 2, 1, 2], sum: 114.6 });
});

test("the values handed out do not change afterwards", () => {
  const histogram = new Histogram([1]);
  const before = histogram.values();
  histogram.observe(0.5);
  assert.deepEqual(before.counts, [0, 0]);
});
