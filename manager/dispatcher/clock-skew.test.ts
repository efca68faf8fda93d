import assert from "node:assert/strict";
import { test } from "node:test";
import { ClockSkew } from "./clock-skew.js";

function after(...skewsMs: readonly number[]): number | undefined {
  const skew = new ClockSkew();
  for (const ms of skewsMs) skew.heard(1_000_000 + ms, 1_000_000);
  return skew.ms;
}

test("a skew is told from three seconds on, rounded to seconds, in either direction", () => {
  assert.equal(after(), undefined);
  assert.equal(after(2_400), 0);
  assert.equal(after(3_100), 3_000);
  assert.equal(after(-61_700), -62_000);
});

test("a heartbeat that was held up on its way is no skew", () => {
  assert.equal(after(0, -8_000, -9_000), 0);
  assert.equal(after(0, -8_000, -9_000, -8_000, -8_000, -8_000), -8_000);
});

test("a change of one second is not told, a larger one and the end are", () => {
  assert.equal(after(5_000, 6_000), 5_000);
  assert.equal(after(5_000, 7_000), 7_000);
  assert.equal(after(5_000, ...Array<number>(5).fill(100)), 0);
});
