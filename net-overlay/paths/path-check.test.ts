/**
 * The look at a path, against a path of which the test says what it lets through.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PACKETS_MAX, PathCheck, type PathOutcome } from "./path-check.js";

interface Path {
  /** Whether the nth packet of this size gets through, and back. */
  readonly passes: (bytes: number, nth: number) => boolean;
  readonly rttMs: number;
}

function follow(
  options: { fullBytes: number; knownBytes: number },
  path: Path,
): { outcome: PathOutcome; packets: number; tookMs: number } {
  let nowMs = 0;
  let packets = 0;
  const check = new PathCheck({ ...options, nowMs });
  const answers: { atMs: number; bytes: number }[] = [];
  for (;;) {
    for (const bytes of check.due(nowMs)) {
      packets += 1;
      if (path.passes(bytes, packets)) answers.push({ atMs: nowMs + path.rttMs, bytes });
    }
    if (check.outcome !== undefined) return { outcome: check.outcome, packets, tookMs: nowMs };
    answers.sort((a, b) => a.atMs - b.atMs);
    const next = answers[0];
    if (next !== undefined && next.atMs <= check.nextAtMs) {
      answers.shift();
      nowMs = next.atMs;
      check.answered(next.bytes, nowMs);
      if (check.outcome !== undefined) return { outcome: check.outcome, packets, tookMs: nowMs };
    } else {
      nowMs = check.nextAtMs;
    }
    assert.ok(nowMs < 60_000, "it ends");
  }
}

test("a good path costs one packet and one round trip, or two when a smaller size was known", () => {
  const good: Path = { passes: () => true, rttMs: 2 };
  const outcome = { kind: "reached", mtuBytes: 1_450 };
  assert.deepEqual(follow({ fullBytes: 1_450, knownBytes: 1_450 }, good), { outcome, packets: 1, tookMs: 2 });
  assert.deepEqual(follow({ fullBytes: 1_450, knownBytes: 0 }, good), { outcome, packets: 1, tookMs: 2 });
  assert.equal(follow({ fullBytes: 1_450, knownBytes: 1_350 }, good).packets, 2);
});

test("a path that lets nothing through is silent after a second", () => {
  const { outcome, tookMs } = follow({ fullBytes: 1_450, knownBytes: 0 }, { passes: () => false, rttMs: 2 });
  assert.deepEqual(outcome, { kind: "silent" });
  assert.equal(tookMs, 1_000);
});

test("the largest size is found to the byte, whatever it is, within bounds", () => {
  fc.assert(
    fc.property(fc.integer({ min: 600, max: 8_950 }), fc.integer({ min: 130, max: 8_950 }), (full, limit) => {
      const path: Path = { passes: (bytes) => bytes <= limit, rttMs: 1 };
      const { outcome, packets, tookMs } = follow({ fullBytes: full, knownBytes: 0 }, path);
      assert.deepEqual(outcome, { kind: "reached", mtuBytes: Math.min(full, limit) });
      assert.ok(packets <= PACKETS_MAX && tookMs <= 12_000, `${packets} packets, ${tookMs} ms`);
    }),
  );
});

test("what is known and still passes is kept without a search", () => {
  const path: Path = { passes: (bytes) => bytes <= 1_350, rttMs: 5 };
  const { outcome, packets, tookMs } = follow({ fullBytes: 1_450, knownBytes: 1_350 }, path);
  assert.deepEqual(outcome, { kind: "reached", mtuBytes: 1_350 });
  assert.ok(packets <= 6);
  assert.equal(tookMs, 1_000);
});

test("a path that became smaller is measured anew", () => {
  const path: Path = { passes: (bytes) => bytes <= 1_200, rttMs: 5 };
  assert.deepEqual(follow({ fullBytes: 1_450, knownBytes: 1_350 }, path).outcome, {
    kind: "reached",
    mtuBytes: 1_200,
  });
});

test("loss of every third packet makes no small path", () => {
  const path: Path = { passes: (_, nth) => nth % 3 !== 1, rttMs: 5 };
  assert.deepEqual(follow({ fullBytes: 1_450, knownBytes: 0 }, path).outcome, {
    kind: "reached",
    mtuBytes: 1_450,
  });
});
