/**
 * Long work in slices, between which the event loop serves others. Edge: to Node's event loop and its clock.
 * Invariant: short work is done before the call returns its promise.
 */
import { nextTurn } from "./process-turn.js";

/** Well below what nothing may hold the event loop for (20 ms): the last slice may be long. */
const HOLD_MAX_MS = 8;

/** Carries on where the work yields, at once while there is time, else in a later turn. */
export async function inSlices<T>(work: Generator<undefined, T>): Promise<T> {
  let sinceMs = performance.now();
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (performance.now() - sinceMs < HOLD_MAX_MS) continue;
    await nextTurn();
    sinceMs = performance.now();
  }
}
