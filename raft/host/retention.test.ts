import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import type { ProgressView } from "../core/types.js";
import { Retention } from "./retention.js";

function peer(raftId: number, match: number, rest: Partial<ProgressView> = {}): ProgressView {
  const view = { raftId, match, next: match + 1, state: "replicate", learner: false, recentlyActive: true };
  return { ...view, ...rest } as ProgressView; // `state` is a literal above
}

test("retention keeps what the slowest follower that moves still needs", () => {
  const retention = new Retention(new ManualClock());
  assert.equal(retention.keepFrom([peer(1, 500), peer(2, 90), peer(3, 300)], 500), 91);
  assert.equal(retention.keepFrom([], 500), undefined);
});

test("retention holds nothing for whoever is silent, unknown, or receives a snapshot", () => {
  const retention = new Retention(new ManualClock());
  const others = [
    peer(2, 90, { recentlyActive: false }),
    peer(3, 0, { state: "probe" }),
    peer(4, 10, { state: "snapshot" }),
  ];
  assert.equal(retention.keepFrom(others, 500), undefined);
});

test("retention lets go of a follower that stands still for ten seconds, until it moves again", () => {
  const clock = new ManualClock();
  const retention = new Retention(clock);
  assert.equal(retention.keepFrom([peer(2, 90)], 500), 91);
  clock.advance(9_000);
  assert.equal(retention.keepFrom([peer(2, 90)], 500), 91);
  clock.advance(1_500);
  assert.equal(retention.keepFrom([peer(2, 90)], 500), undefined);
  assert.equal(retention.keepFrom([peer(2, 95)], 500), 96);
});
