/**
 * Which generation a pair tries: sessions outlive a rotation that only one of two nodes heard of.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { beginWatch, DEAD_MS, isStale, LOOK_PERIOD_MS, lookAt, type PairWatch } from "./generation-choice.js";

const BOTH = [2, 1];

test("a pair whose session is renewed, or that sends nothing, keeps its generation", () => {
  let watch = beginWatch(2);
  for (let nowMs = 0; nowMs < 3_600_000; nowMs += LOOK_PERIOD_MS) {
    const lastHandshakeMs = 1 + nowMs - (nowMs % 120_000);
    watch = lookAt(watch, { lastHandshakeMs, sentBytes: nowMs }, { nowMs, generations: BOTH });
    assert.equal(watch.generation, 2);
    assert.equal(watch.failedLooks, 0);
  }
  const idleSince = watch.lastHandshakeMs;
  const { sentBytes } = watch;
  for (let nowMs = 3_600_000; nowMs < 7_200_000; nowMs += LOOK_PERIOD_MS) {
    watch = lookAt(watch, { lastHandshakeMs: idleSince, sentBytes }, { nowMs, generations: BOTH });
    assert.equal(watch.generation, 2);
    assert.equal(isStale(watch, nowMs), false);
  }
});

test("a renewal that fails is tried with the older generation before the session dies", () => {
  let watch = beginWatch(2, { lastHandshakeMs: 1, sentBytes: 0 });
  let triedAtMs = 0;
  for (let nowMs = 0; nowMs < DEAD_MS && triedAtMs === 0; nowMs += LOOK_PERIOD_MS) {
    watch = lookAt(watch, { lastHandshakeMs: 1, sentBytes: nowMs }, { nowMs, generations: BOTH });
    if (watch.generation === 1) triedAtMs = nowMs;
  }
  assert.ok(triedAtMs > 120_000 && triedAtMs < DEAD_MS - 2 * LOOK_PERIOD_MS, String(triedAtMs));
  // it worked: it stays, as long as it works
  watch = lookAt(watch, { lastHandshakeMs: 155_000, sentBytes: 1 }, { nowMs: 160_000, generations: BOTH });
  assert.equal(watch.generation, 1);
  watch = lookAt(watch, { lastHandshakeMs: 275_000, sentBytes: 2 }, { nowMs: 280_000, generations: BOTH });
  assert.equal(watch.generation, 1);
});

test("two nodes that search meet at the newest generation, whatever their phases", () => {
  const search = (looks: number): number[] => {
    let watch = beginWatch(2);
    return Array.from({ length: looks }, (_, look) => {
      watch = lookAt(
        watch,
        { lastHandshakeMs: undefined, sentBytes: look + 1 },
        { nowMs: 0, generations: BOTH },
      );
      return watch.generation;
    });
  };
  const one = search(30);
  assert.ok(one.includes(1) && one.includes(2));
  for (const phase of [0, 1, 2]) {
    const other = search(30 + phase).slice(phase);
    for (let at = 0; at + 3 <= 30; at += 3)
      assert.ok([0, 1, 2].some((look) => one[at + look] === 2 && other[at + look] === 2));
  }
});

test("a search ends with the newest generation when nobody sends any more", () => {
  let watch: PairWatch = beginWatch(2);
  watch = lookAt(watch, { lastHandshakeMs: undefined, sentBytes: 1 }, { nowMs: 0, generations: BOTH });
  assert.equal(watch.generation, 1);
  assert.equal(isStale(watch, 0), true);
  watch = lookAt(watch, { lastHandshakeMs: undefined, sentBytes: 1 }, { nowMs: 0, generations: BOTH });
  assert.deepEqual([watch.generation, watch.failedLooks], [2, 0]);
});

test("a node that has one generation stays with it", () => {
  let watch = beginWatch(2);
  for (let look = 1; look < 10; look++) {
    watch = lookAt(watch, { lastHandshakeMs: undefined, sentBytes: look }, { nowMs: 0, generations: [2] });
    assert.equal(watch.generation, 2);
  }
});
