/**
 * Long work in slices, between which the event loop serves others.
 * Pure (time by `Clock`). Invariant: short work is done without a pause.
 */
import type { Clock } from "../base/clock/clock.js";

/** Well below what nothing may hold the event loop for (20 ms): the last slice may be long. */
const HOLD_MAX_MS = 8;

/** Carries on where the work yields, at once while there is time, else in a later turn. */
export async function inSlices<T>(work: Generator<undefined, T>, clock: Clock): Promise<T> {
  let sinceMs = clock.monotonicMs();
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (clock.monotonicMs() - sinceMs < HOLD_MAX_MS) continue;
    await clock.sleep(0);
    sinceMs = clock.monotonicMs();
  }
}

/** All of it at once. */
export function atOnce<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
