/**
 * Lets V8 use its optimising compiler once the process is busy. Edge: to node:v8 and the process's CPU
 * clock.
 *
 * The compiler costs 6 to 9 MB as soon as it has run, and an idle manager never earns that back; a
 * manager that works hard needs half the CPU time with it. So the manager starts with `--no-opt`
 * (v8-flags.ts), and the flag is taken back, for good, after two seconds in a row that were busier than
 * the bound.
 */
import { setFlagsFromString } from "node:v8";
import type { Clock } from "../base/clock/clock.js";

const PERIOD_MS = 1_000;
/**
 * Share of one core; a follower of a busy leader has little more. Idling takes about 0.01, some calls a
 * second 0.05.
 */
const BUSY_SHARE = 0.1;
const BUSY_PERIODS = 2;

/** Watches until it was busy once. @returns the end of watching. */
export function optimizeWhenBusy(clock: Clock): () => void {
  let used = process.cpuUsage();
  let busyPeriods = 0;
  const timer = clock.setInterval(PERIOD_MS, () => {
    const { user, system } = process.cpuUsage(used);
    used = process.cpuUsage();
    const share = (user + system) / (PERIOD_MS * 1_000);
    busyPeriods = share > BUSY_SHARE ? busyPeriods + 1 : 0;
    if (busyPeriods < BUSY_PERIODS) return;
    setFlagsFromString("--opt");
    timer.cancel();
  });
  return () => timer.cancel();
}
