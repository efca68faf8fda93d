import assert from "node:assert/strict";
import { test } from "node:test";
import { genericResources } from "./generic-resources.js";

test("a number is a count, anything else names one unit; one text may hold several", () => {
  assert.deepEqual(genericResources(["GPU=UUID1,GPU=UUID2", "SSD=3"]), [
    { kind: "GPU", value: { $case: "named", value: "UUID1" } },
    { kind: "GPU", value: { $case: "named", value: "UUID2" } },
    { kind: "SSD", value: { $case: "discrete", value: 3 } },
  ]);
  assert.deepEqual(genericResources([]), []);
});

test("what is neither, given twice or both counted and named is refused", () => {
  for (const bad of [
    ["GPU"],
    ["=3"],
    ["GPU="],
    ["GPU=a=b"],
    ["SSD=0"],
    ["GPU=a", "GPU=a"],
    ["GPU=a", "GPU=2"],
    ["SSD=1", "SSD=2"],
  ])
    assert.throws(() => genericResources(bad), /--node-generic-resource/, bad.join());
});
