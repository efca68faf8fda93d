import assert from "node:assert/strict";
import { test } from "node:test";
import { Task } from "../proto/gen/skein/v1/objects.js";
import { createAbsentNetworkPlane } from "./absent-network-plane.js";

test("a node without networks follows the store and refuses tasks with the reason", async () => {
  const plane = createAbsentNetworkPlane("koffi cannot be loaded");
  await plane.apply({ complete: true, revision: 7, upserts: [], removals: [] });
  assert.equal(plane.appliedRevision, 7);
  await assert.rejects(
    plane.attachTask(Task.fromPartial({ id: "t" }), { hostname: "h", extraHosts: [] }),
    /^FailedPreconditionError: this node has no networks: koffi cannot be loaded$/,
  );
  await plane.detachTask("t");
  await plane.close();
});
