/** When an ended container is started again. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RestartPolicy } from "./container-manager.js";
import { admitRestartPolicy, type EndedRun, restartPauseMs, restarts } from "./container-restarts.js";

const policy = (name: RestartPolicy["name"], maximumRetryCount = 0): RestartPolicy => ({
  name,
  maximumRetryCount,
});
const run = (changes: Partial<EndedRun> = {}): EndedRun => ({
  exitCode: 1,
  restartCount: 0,
  stoppedByHand: false,
  ...changes,
});

describe("restart policy", () => {
  it("no: never", () => {
    assert.equal(restarts(policy("no"), run(), "exit"), false);
    assert.equal(restarts(policy("no"), run(), "boot"), false);
  });

  it("always: also after success, by hand stopped only at the daemon's return", () => {
    assert.equal(restarts(policy("always"), run({ exitCode: 0 }), "exit"), true);
    assert.equal(restarts(policy("always"), run({ stoppedByHand: true }), "exit"), false);
    assert.equal(restarts(policy("always"), run({ stoppedByHand: true }), "boot"), true);
  });

  it("unless-stopped: stopped by hand stays stopped, also at the daemon's return", () => {
    assert.equal(restarts(policy("unless-stopped"), run({ exitCode: 0 }), "exit"), true);
    assert.equal(restarts(policy("unless-stopped"), run({ stoppedByHand: true }), "exit"), false);
    assert.equal(restarts(policy("unless-stopped"), run({ stoppedByHand: true }), "boot"), false);
  });

  it("on-failure: not after success, and so often at most", () => {
    assert.equal(restarts(policy("on-failure"), run({ exitCode: 0 }), "exit"), false);
    assert.equal(restarts(policy("on-failure"), run({ restartCount: 1_000 }), "exit"), true);
    assert.equal(restarts(policy("on-failure", 2), run({ restartCount: 1 }), "exit"), true);
    assert.equal(restarts(policy("on-failure", 2), run({ restartCount: 2 }), "exit"), false);
    assert.equal(restarts(policy("on-failure"), run({ exitCode: -1 }), "boot"), true);
    assert.equal(restarts(policy("on-failure"), run({ stoppedByHand: true }), "boot"), false);
  });

  it("the pause doubles from 100 ms to a minute, and begins anew after ten seconds up", () => {
    const pauses: number[] = [];
    for (let last = 0; pauses.length < 12; last = pauses.at(-1) ?? 0) pauses.push(restartPauseMs(last, 50));
    assert.deepEqual(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
    assert.equal(restartPauseMs(60_000, 9_999), 60_000);
    assert.equal(restartPauseMs(60_000, 10_000), 100);
  });

  it("refuses what makes no sense, in Docker's words", () => {
    const refusal = (given: RestartPolicy, autoRemove = false): (() => void) => {
      return () => admitRestartPolicy(given, autoRemove);
    };
    assert.throws(
      refusal(policy("always", 3)),
      /maximum retry count cannot be used with restart policy 'always'/,
    );
    assert.throws(refusal(policy("on-failure", -1)), /maximum retry count cannot be negative/);
    assert.throws(refusal(policy("always"), true), /can't create 'AutoRemove' container with restart policy/);
    refusal(policy("on-failure", 3))();
    refusal(policy("no"), true)();
  });
});
