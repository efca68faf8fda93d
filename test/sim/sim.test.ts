/**
 * The simulator's verdict on the code as it is.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { minimise } from "./sim-minimiser.js";
import { placeOf } from "./sim-mix.js";
import type { ProfileName } from "./sim-profiles.js";
import { type RunResult, runSeed, scheduleOf } from "./sim-run.js";
import { formatSchedule, parseSchedule } from "./sim-schedule.js";
import { addTotals, NO_TOTALS } from "./sim-totals.js";

// Refusals are part of a stormy life, and stacks are what they cost most.
Error.stackTraceLimit = 0;

function assertHealthy(result: RunResult): void {
  assert.equal(result.violation, undefined, `seed ${result.seed}: ${result.violation?.message}`);
}

async function runSeeds(count: number, profile: ProfileName) {
  let totals = NO_TOTALS;
  for (let seed = 1; seed <= count; seed++) {
    const result = await runSeed({ seed, profile });
    assertHealthy(result);
    totals = addTotals(totals, result);
  }
  return totals;
}

test("150 seeds of everything keep every promise", async () => {
  const totals = await runSeeds(150, "mixed");
  // A simulator in which nothing happens proves nothing.
  assert.ok(totals.leaders > 500, `too few elections: ${totals.leaders}`);
  assert.ok(totals.acknowledged > 20_000, `too few acknowledged writes: ${totals.acknowledged}`);
  assert.ok(totals.operations > 15_000, `too few operations in histories: ${totals.operations}`);
  assert.ok(totals.membershipChanges > 500, `too few membership changes: ${totals.membershipChanges}`);
  assert.ok(totals.undecided <= 2, `too many histories were not judged: ${totals.undecided}`);
});

test("80 seeds of members that come and go while leaders fall keep every promise", async () => {
  const totals = await runSeeds(80, "membership");
  assert.ok(totals.membershipChanges > 800, `too few membership changes: ${totals.membershipChanges}`);
});

test("leaders struck down soon after their election never lose a committed entry (paper, figure 8)", async () => {
  await runSeeds(60, "leader-hunt");
});

test("members that restart again and again with slow disks keep every promise", async () => {
  await runSeeds(60, "restart-storm");
});

test("crashes at disk operations keep every promise", async () => {
  await runSeeds(60, "disks");
});

test("bad clocks and processes that stand still keep every promise", async () => {
  await runSeeds(60, "clocks");
});

test("80 seeds of whole hosts, in every weather, keep every promise", async () => {
  let totals = NO_TOTALS;
  for (let seed = 1; seed <= 80; seed++) {
    const result = await runSeed({ seed, ...placeOf(seed, { world: "host" }) });
    assertHealthy(result);
    totals = addTotals(totals, result);
  }
  assert.ok(totals.leaders > 300, `too few elections: ${totals.leaders}`);
  assert.ok(totals.acknowledged > 8_000, `too few acknowledged writes: ${totals.acknowledged}`);
  assert.ok(totals.membershipChanges > 200, `too few membership changes: ${totals.membershipChanges}`);
});

test("a seed reproduces its trace exactly, whether somebody reads along or not", async () => {
  for (const seed of [3, 5, 17, 22, 42, 48]) {
    const place = placeOf(seed);
    let lines = 0;
    const silent = await runSeed({ seed, ...place });
    const printed = await runSeed({ seed, ...place, print: () => (lines += 1) });
    assert.equal(printed.traceHash, silent.traceHash);
    assert.deepEqual(printed, silent);
    assert.ok(lines > 20, `seed ${seed} was printed in ${lines} lines`); // a lone member says little
  }
  const [three, four] = [await runSeed({ seed: 3 }), await runSeed({ seed: 4 })];
  assert.notEqual(three.traceHash, four.traceHash);
});

test("a schedule written out and read again gives the same run", async () => {
  const options = { seed: 5, profile: "mixed" } as const;
  const schedule = parseSchedule(`# a comment\n${formatSchedule(scheduleOf(options))}\n`);
  const [drawn, read] = [await runSeed(options), await runSeed({ ...options, schedule })];
  assert.equal(read.traceHash, drawn.traceHash);
  assert.throws(() => parseSchedule("12 dance 0 0 0 0"), /a kind and four draws, got "12 dance/);
});

test("the minimiser keeps the failure and drops what it does not need", async () => {
  const options = { seed: 1, profile: "leader-hunt", bug: "uncommitted-unbounded" } as const;
  const before = scheduleOf(options).length;
  const shortest = await minimise(options);
  const { violation } = await runSeed({ ...options, ...shortest });
  assert.match(violation?.message ?? "", /^bounded memory/);
  assert.ok(
    shortest.schedule.length * 20 < before,
    `${shortest.schedule.length} of ${before} events are left`,
  );
});
