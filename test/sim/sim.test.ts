/**
 * The simulator's verdict on the core, and the proof that its checkers would notice a bug.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { PLANTED_BUGS, type PlantedBug } from "./sim-core.js";
import { type RunResult, runSeed } from "./sim-run.js";
import type { SimProfile } from "./sim-world.js";

function assertHealthy(result: RunResult): void {
  assert.equal(result.violation, undefined, `seed ${result.seed}: ${result.violation?.stack}`);
}

test("200 seeds of crashes, partitions and membership changes keep every promise", () => {
  const results: RunResult[] = [];
  for (let seed = 1; seed <= 200; seed++) {
    const result = runSeed({ seed });
    assertHealthy(result);
    results.push(result);
  }
  // A simulator in which nothing happens proves nothing.
  const total = (of: (result: RunResult) => number) => results.reduce((sum, result) => sum + of(result), 0);
  assert.ok(total((result) => result.leaders) > 600, "too few elections");
  assert.ok(total((result) => result.acknowledged) > 50_000, "too few acknowledged writes");
  assert.ok(total((result) => result.reads) > 20_000, "too few reads");
});

test("leaders struck down soon after their election never lose a committed entry (paper, figure 8)", () => {
  for (let seed = 1; seed <= 100; seed++) assertHealthy(runSeed({ seed, profile: "leader-hunt" }));
});

test("members that restart again and again with slow disks keep every promise", () => {
  for (let seed = 1; seed <= 100; seed++) assertHealthy(runSeed({ seed, profile: "restart-storm" }));
});

test("a seed reproduces its trace exactly, whether somebody reads along or not", () => {
  for (const seed of [3, 17, 42]) {
    let lines = 0;
    const silent = runSeed({ seed });
    const printed = runSeed({ seed, print: () => (lines += 1) });
    assert.equal(printed.traceHash, silent.traceHash);
    assert.deepEqual(printed, silent);
    assert.ok(lines > 100);
  }
  assert.notEqual(runSeed({ seed: 3 }).traceHash, runSeed({ seed: 4 }).traceHash);
});

/** What notices a bug may differ from seed to seed: the first property that breaks is reported. */
const PROFILES: Record<PlantedBug, SimProfile> = {
  "ack-before-sync": "mixed",
  "forget-vote": "restart-storm",
  "commit-old-term": "leader-hunt",
  "read-without-round": "mixed",
  "vote-for-anyone": "mixed",
};

for (const bug of PLANTED_BUGS) {
  test(`a planted bug is caught: ${bug}`, () => {
    const profile = PROFILES[bug];
    for (let seed = 1; seed <= 400; seed++) {
      const caught = runSeed({ seed, bug, profile }).violation;
      if (caught === undefined) continue;
      assert.match(caught.name, /SafetyViolation|InvariantError/, `${caught.name}: ${caught.message}`);
      assertHealthy(runSeed({ seed, profile }));
      return;
    }
    assert.fail("no seed noticed");
  });
}
