/**
 * Seeds that failed once, and what was wrong. They are replayed on the code as it is now; a change of what a
 * seed draws takes the sting out of the older ones, which is why the bugs themselves are planted in
 * sim-bugs.ts, too.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import type { Place } from "./sim-mix.js";
import { runSeed } from "./sim-run.js";

// Refusals are part of a stormy life, and stacks are what they cost most.
Error.stackTraceLimit = 0;

const FAILED: readonly (Place & { readonly seed: number; readonly why: string })[] = [
  {
    world: "host",
    profile: "membership",
    seed: 10,
    why: "a member that was away could not answer a leader that joined meanwhile, and never caught up",
  },
  {
    world: "core",
    profile: "mixed",
    seed: 57,
    why: "appends that overtook each other made a leader send its whole window for each of them",
  },
  {
    world: "host",
    profile: "disks",
    seed: 4285,
    why: "zeros over a torn write only looked durable, and the torn bytes came back behind later records",
  },
  {
    world: "host",
    profile: "disks",
    seed: 685,
    why: "a log segment was made a second time while it was taken into use, after an I/O error",
  },
];

for (const { why, ...options } of FAILED) {
  test(`seed ${options.seed} of ${options.world}/${options.profile}: ${why}`, async () => {
    const { violation } = await runSeed(options);
    assert.equal(violation, undefined, violation?.message);
  });
}
