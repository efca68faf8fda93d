import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "./system-clock.js";

test("a wait longer than Node's timers can hold is no wait of a millisecond", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const days = 24 * 3_600_000;
  let fired = 0;
  systemClock.setTimer(60 * days, () => {
    fired += 1;
  });
  const timer = systemClock.setTimer(30 * days, () => assert.fail("cancelled"));
  t.mock.timers.tick(29 * days > 2 ** 31 - 1 ? 2 ** 31 - 1 : 29 * days);
  timer.cancel();
  t.mock.timers.tick(2 ** 31 - 1);
  assert.equal(fired, 0);
  t.mock.timers.tick(60 * days - 2 * (2 ** 31 - 1));
  assert.equal(fired, 1);
});
