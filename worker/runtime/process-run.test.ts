import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock/system-clock.js";
import { runCommand } from "./process-run.js";

test("a command whose output somebody else keeps open ends when its time is up", {
  timeout: 5_000,
}, async () => {
  const startedMs = systemClock.monotonicMs();
  const result = await runCommand("sh", ["-c", "echo begun; sleep 8 & exit 0"], {
    clock: systemClock,
    timeoutMs: 200,
  });
  assert.equal(result.stdout, "begun");
  assert.ok(systemClock.monotonicMs() - startedMs < 3_000);
});
