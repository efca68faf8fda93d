/**
 * The clock of the machine. Edge: to the operating system's clocks and Node's timers.
 */
import { performance } from "node:perf_hooks";
import { CancelledError } from "../errors/errors.js";
import type { Clock, Timer } from "./clock.js";

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, fire): Timer {
    const handle = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
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
        clearTimeout(handle);
        reject(new CancelledError("sleep was cancelled"));
      };
      const handle = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, delayMs);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};
