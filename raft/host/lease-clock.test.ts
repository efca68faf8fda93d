import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../base/clock/manual-clock.js";
import { LeaseClock } from "./lease-clock.js";

class WallClock extends ManualClock {
  offsetMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.offsetMs;
  }
}

test("time is told in ticks, with fractions", () => {
  const clock = new WallClock();
  const lease = new LeaseClock(clock, { tickMs: 100, retiring: false });
  clock.advance(250);
  assert.deepEqual([lease.elapsedTicks(), lease.elapsedTicksMax()], [2.5, 2.5]);
});

test("a wall clock that jumps ahead is time that the monotonic clock may have slept through", () => {
  const clock = new WallClock();
  const lease = new LeaseClock(clock, { tickMs: 100, retiring: false });
  clock.advance(100);
  clock.offsetMs += 30_000;
  assert.equal(lease.elapsedTicks(), 1, "a promise is not cut short by it");
  assert.equal(lease.elapsedTicksMax(), 301, "a lease is");
  clock.offsetMs -= 60_000;
  clock.advance(100);
  assert.equal(lease.elapsedTicksMax(), 302, "and it never goes back");
  clock.offsetMs += 10;
  assert.equal(lease.elapsedTicksMax(), 302, "slewing is no sleep");
});
