/**
 * The proof that the checkers would notice: each planted bug is caught within its number of seeds, by a
 * check that it may break, while the same seed without the bug is clean.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { DataLossError } from "../../base/errors/errors.js";
import { InvariantError } from "../../base/errors/invariant.js";
import { BUG_CASES, PLANTED_BUGS } from "./sim-bugs.js";
import { SafetyViolation } from "./sim-checker.js";
import { runSeed } from "./sim-run.js";
import { LivenessViolation } from "./sim-world.js";

// Refusals are part of a stormy life, and stacks are what they cost most.
Error.stackTraceLimit = 0;

function wordFor(violation: Error): string {
  if (violation instanceof SafetyViolation) return violation.property;
  if (violation instanceof LivenessViolation) return "liveness";
  if (violation instanceof InvariantError) return "invariant";
  if (violation instanceof DataLossError) return "recovery";
  return `${violation.name}: ${violation.message}`;
}

for (const bug of PLANTED_BUGS) {
  const { world, profile, seeds, noticedBy, what } = BUG_CASES[bug];
  test(`a planted bug is caught within ${seeds} seeds: ${what}`, async () => {
    for (let seed = 1; seed <= seeds; seed++) {
      const { violation } = await runSeed({ seed, bug, world, profile });
      if (violation === undefined) continue;
      const words: readonly string[] = noticedBy;
      assert.ok(words.includes(wordFor(violation)), `seed ${seed}: ${wordFor(violation)}`);
      const clean = await runSeed({ seed, world, profile });
      assert.equal(clean.violation, undefined, `seed ${seed} without the bug: ${clean.violation?.message}`);
      return;
    }
    assert.fail("no seed noticed");
  });
}
