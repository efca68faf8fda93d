/**
 * The clock of the machine. Edge: to the operating system's clocks and Node's timers.
 */
import { performance } from "node:perf_hooks";
import { CancelledError } from "../errors/errors.js";
import type { Clock, Timer } from "./clock.js";

/** What Node's timers can wait, 24.8 days; a longer wait would be none at all, so it is walked in stages. */
const STAGE_MS_MAX = 2 ** 31 - 1;

function startTimer(delayMs: number, fire: () => void): Timer {
  let leftMs = delayMs;
  let handle: NodeJS.Timeout;
  const stage = (): void => {
    const waitMs = Math.min(leftMs, STAGE_MS_MAX);
    leftMs -= waitMs;
    handle = setTimeout(leftMs > 0 ? stage : fire, waitMs);
  };
  stage();
  return { cancel: () => clearTimeout(handle) };
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: startTimer,
  setInterval(periodMs, fire): Timer {
    const handle = setInterval(fire, periodMs);
    return { cancel: () => clearInterval(handle) };
  },
  sleep(delayMs, options = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(new CancelledError("sleep was cancelled before it began"));
        return;
      }
      const onAbort = (): void => {
        timer.cancel();
        reject(new CancelledError("sleep was cancelled"));
      };
      const timer = startTimer(delayMs, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};
