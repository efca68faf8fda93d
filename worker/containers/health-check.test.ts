/** Health states and rhythm. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HealthCheck } from "./container-manager.js";
import { afterProbe, type HealthState, INITIAL_HEALTH, nextProbeDelayMs } from "./health-check.js";

const check: HealthCheck = {
  test: ["CMD", "true"],
  intervalMs: 10_000,
  timeoutMs: 1_000,
  startPeriodMs: 0,
  startIntervalMs: 5_000,
  retries: 3,
};

function run(results: readonly [success: boolean, sinceStartMs: number][], given = check): HealthState[] {
  let state = INITIAL_HEALTH;
  return results.map(([success, sinceStartMs]) => {
    state = afterProbe(state, given, { success, sinceStartMs });
    return state;
  });
}

describe("health check", () => {
  it("the first success makes it healthy", () => {
    assert.deepEqual(
      run([[true, 50]]).map((state) => state.status),
      ["healthy"],
    );
  });

  it("as many failures in a row as retries make it unhealthy, a success ends the row", () => {
    const statuses = run([
      [false, 10_000],
      [false, 20_000],
      [true, 30_000],
      [false, 40_000],
      [false, 50_000],
      [false, 60_000],
      [true, 70_000],
    ]).map((state) => state.status);
    assert.deepEqual(statuses, [
      "starting",
      "starting",
      "healthy",
      "healthy",
      "healthy",
      "unhealthy",
      "healthy",
    ]);
  });

  it("failures before the first interval and in the start period do not count", () => {
    assert.equal(
      run([
        [false, 50],
        [false, 100],
        [false, 200],
        [false, 400],
      ]).at(-1)?.failingStreak,
      0,
    );
    const slow = { ...check, startPeriodMs: 60_000 };
    assert.equal(
      run(
        [
          [false, 59_000],
          [false, 60_000],
        ],
        slow,
      ).at(-1)?.failingStreak,
      1,
    );
  });

  it("once healthy, failures in the start period count", () => {
    const slow = { ...check, startPeriodMs: 60_000 };
    assert.equal(
      run(
        [
          [true, 50],
          [false, 5_000],
          [false, 10_000],
          [false, 15_000],
        ],
        slow,
      ).at(-1)?.status,
      "unhealthy",
    );
  });

  it("early probes come soon and grow apart, the first regular one comes when Docker's would", () => {
    const delays: number[] = [];
    let state = INITIAL_HEALTH;
    let atMs = 0;
    for (let i = 0; i < 12; i++) {
      const delayMs = nextProbeDelayMs(state, check, atMs);
      delays.push(delayMs);
      atMs += delayMs;
      state = afterProbe(state, check, { success: false, sinceStartMs: atMs });
    }
    assert.deepEqual(delays, [50, 100, 200, 400, 800, 1600, 3200, 3650, 10_000, 10_000, 10_000, 10_000]);
    assert.equal(nextProbeDelayMs({ status: "healthy", failingStreak: 0, probes: 1 }, check, 60), 10_000);
  });

  it("the start interval holds in the start period", () => {
    const slow = { ...check, startPeriodMs: 60_000, startIntervalMs: 2_000 };
    assert.equal(nextProbeDelayMs({ ...INITIAL_HEALTH, probes: 9 }, slow, 30_000), 2_000);
    assert.equal(nextProbeDelayMs({ ...INITIAL_HEALTH, probes: 9 }, slow, 61_000), 10_000);
  });
});
