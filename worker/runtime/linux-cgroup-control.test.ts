/** Weights of v2 as the runtimes make them at the start, so that an update speaks the same scale. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ioWeightOf, weightOfShares } from "./linux-cgroup-control.js";

test("weights of blocks and shares of CPUs, onto the scale of v2", () => {
  assert.deepEqual([10, 300, 1000].map(ioWeightOf), [1, 2930, 10_000]);
  assert.deepEqual([2, 512, 1024, 262_144].map(weightOfShares), [1, 20, 39, 10_000]);
});
