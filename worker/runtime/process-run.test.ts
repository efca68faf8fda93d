import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
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

test("without free descriptors a command is refused, and the daemon goes on", { timeout: 30_000 }, () => {
  const script = `
    import { closeSync, openSync } from "node:fs";
    import { systemClock } from "${import.meta.resolve("../../base/clock/system-clock.js")}";
    import { runCommand } from "${import.meta.resolve("./process-run.js")}";
    const run = () => runCommand("true", [], { clock: systemClock, timeoutMs: 5_000 });
    await run();
    const held = [];
    try { for (;;) held.push(openSync("/dev/null")); } catch {}
    await run().then(() => console.log("ran"), (error) => console.log(error.code));
    for (const fd of held) closeSync(fd);
    console.log((await run()).code);`;
  const shell = `ulimit -n 128; exec "$0" --import tsx --input-type=module -e "$1"`;
  const { stdout, stderr } = spawnSync("sh", ["-c", shell, process.execPath, script], { encoding: "utf8" });
  assert.equal(stdout, "resource-exhausted\n0\n", stderr);
});
