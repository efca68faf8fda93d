/** Daemon logs: bugs are found, the rest is counted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeCounts, readDaemonLog } from "./daemon-logs.js";

const line = (level: string, msg: string): string => JSON.stringify({ level, msg, time: "2026-01-01" });

test("warnings are counted, information is not, and what was not written by the logger is", () => {
  const text = [line("info", "up"), line("warn", "broke"), line("warn", "broke"), "Killed"].join("\n");
  const found = readDaemonLog("host1", text);
  assert.deepEqual(found.bugs, []);
  assert.deepEqual(found.counts, [
    ["warn: broke", 2],
    ["(no JSON) Killed", 1],
  ]);
  assert.deepEqual(mergeCounts([found, found])[0], ["warn: broke", 4]);
});

test("a broken invariant, an unhandled rejection and a crash are bugs", () => {
  for (const words of [
    line("fatal", "invariant broken: match < next"),
    "[UnhandledPromiseRejection: …]",
    "TypeError: x is not a function",
    "FATAL ERROR: Reached heap limit Allocation failed",
  ])
    assert.equal(readDaemonLog("host1", words).bugs.length, 1, words);
});
