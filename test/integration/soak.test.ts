/**
 * One minute of the soak: three managers, a fixed plan of faults, the whole verdict. `npm run soak` does it
 * for long.
 */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { RoundKind } from "../soak/nemesis.js";
import { reportText } from "../soak/soak-report.js";
import { runSoak } from "../soak/soak-run.js";

/** One of each family; what is left out here comes in the long run. */
const PLAN: readonly RoundKind[] = [
  "kill -9 manager",
  "cut, nothing comes in",
  "SIGSTOP manager",
  "no quorum",
  "disk full, log too",
  "kill -9 skeind and manager",
  "demote and promote, one is killed",
  "link down",
  "kill -9 everything",
];

test("three managers under kills, cuts, stops and a full disk keep every promise for a minute", async (t) => {
  const lines: string[] = [];
  const report = await runSoak({
    seed: "integration",
    managers: 3,
    lengthMs: 45_000,
    plan: PLAN,
    holdMs: [1_000, 3_000],
    gapMs: [0, 1_000],
    folder: mkdtempSync(join(tmpdir(), "skein-soak-test-")),
    say: (line) => lines.push(line),
  });
  const told = `${lines.join("\n")}\n${reportText(report)}`;
  for (const line of told.split("\n")) t.diagnostic(line);
  assert.deepEqual(report.problems, []);
  // It was a trial: work was done, faults struck, and a quorum was missing for a while.
  const { writes, reads } = report.operations;
  assert.ok(writes.ok > 100 && reads.ok > 100, told);
  assert.ok(report.faults.length >= 4 && report.quorumLosses >= 1, told);
});
