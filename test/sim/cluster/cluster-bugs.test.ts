/**
 * The proof that the checks would notice: each planted bug is caught within its number of seeds, by a
 * promise that it may break.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLUSTER_BUG_CASES, CLUSTER_BUGS } from "./cluster-bugs.js";
import { ClusterViolation } from "./cluster-checks.js";
import { runClusterSeed } from "./cluster-run.js";

// Refusals are part of a stormy life, and stacks are what they cost most.
Error.stackTraceLimit = 0;

for (const bug of CLUSTER_BUGS) {
  const { seeds, noticedBy, what } = CLUSTER_BUG_CASES[bug];
  test(`a planted bug is caught within ${seeds} seeds: ${what}`, async () => {
    for (let seed = 1; seed <= seeds; seed++) {
      const { violation } = await runClusterSeed({ seed, bug });
      if (violation === undefined) continue;
      assert.ok(violation instanceof ClusterViolation, violation.message);
      assert.ok(noticedBy.includes(violation.promise), `seed ${seed}: ${violation.message}`);
      return;
    }
    assert.fail("no seed noticed");
  });
}
