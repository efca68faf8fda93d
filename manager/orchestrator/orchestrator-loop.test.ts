import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../../base/clock/clock.js";
import { Cluster, Service } from "../../proto/gen/skein/v1/objects.js";
import { createTestStore } from "../../test/support/test-store.js";
import { createOrchestrator } from "./orchestrator-loop.js";

test("a pass over many services gives the event loop back between slices", async () => {
  const t = createTestStore();
  let monotonicMs = 0;
  const slow: Clock = {
    nowMs: () => t.clock.nowMs(),
    monotonicMs: () => (monotonicMs += 5), // as if each look at the clock came 5 ms later
    setTimer: (delayMs, fire) => t.clock.setTimer(delayMs, fire),
    setInterval: (periodMs, fire) => t.clock.setInterval(periodMs, fire),
    sleep: (delayMs, options) => t.clock.sleep(delayMs, options),
  };
  await t.store.update((tx) => {
    tx.create("cluster", Cluster.fromPartial({ id: "c" }));
    for (let at = 0; at < 40; at++) {
      const spec = {
        annotations: { name: `s${at}` },
        task: { container: { image: "app:1" } },
        mode: { $case: "replicated", value: { replicas: 1 } },
      } as const;
      tx.create("service", Service.fromPartial({ id: `s${at}`, spec }));
    }
  });
  let turns = 0;
  let counting = true;
  const count = (): void => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  const loop = createOrchestrator({ ...t, clock: slow });
  loop.start();
  await loop.idle();
  counting = false;
  assert.equal(t.store.view((tx) => tx.list("task")).length, 40);
  assert.ok(turns >= 10, `${turns} turns`);
  await loop.close();
});
