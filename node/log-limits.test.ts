import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../proto/gen/skein/v1/objects.js";
import { createTestStore } from "../test/support/test-store.js";
import { followLogLimits, logLimits } from "./log-limits.js";

test("limits of the log are the cluster's within bounds, Docker's where it names none", () => {
  const of = (snapshotInterval: number, logEntriesForSlowFollowers: number) =>
    Object.values(logLimits({ snapshotInterval, logEntriesForSlowFollowers }));
  assert.deepEqual(of(0, 0), [10_000, 500]);
  assert.deepEqual(of(2_000, 30), [2_000, 30]);
  assert.deepEqual(of(1, 1), [100, 1]);
  assert.deepEqual(of(1e9, 1e9), [1_000_000, 100_000]);
});

test("a manager follows the cluster's limits", async () => {
  const { store } = createTestStore();
  const seen: number[] = [];
  const close = followLogLimits(store, { setLogLimits: (limits) => seen.push(limits.snapshotInterval) });
  await store.update((tx) => tx.create("cluster", Cluster.fromPartial({ id: "c", spec: {} })));
  await store.update((tx) =>
    tx.update(
      "cluster",
      Cluster.fromPartial({ id: "c", spec: { snapshotInterval: 300 }, meta: tx.get("cluster", "c")?.meta }),
    ),
  );
  assert.equal(seen.at(-1), 300);
  close();
});
