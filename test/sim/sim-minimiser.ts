/**
 * Shortens the schedule of a run that fails until every event in it is needed for the same failure. Pure
 * over runs. Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002
 * (ddmin).
 */
import { SafetyViolation } from "./sim-checker.js";
import { FAULTY_MS, type RunOptions, runSeed, scheduleOf } from "./sim-run.js";
import type { SimEvent } from "./sim-schedule.js";

export interface Minimum {
  readonly schedule: readonly SimEvent[];
  readonly faultyMs: number;
  /** Runs it took. */
  readonly runs: number;
}

const RUNS_MAX = 3_000;

/** @throws {Error} the run does not fail. */
export async function minimise(
  options: RunOptions,
  tell: (line: string) => void = () => {},
): Promise<Minimum> {
  const first = await runSeed(options);
  const { violation, violatedAtMs } = first;
  if (violation === undefined || violatedAtMs === undefined) throw new Error("there is nothing to minimise");
  const wanted = kindOf(violation);
  let runs = 1;
  const failsAlike = async (schedule: readonly SimEvent[], faultyMs: number): Promise<boolean> => {
    runs += 1;
    const { violation: found } = await runSeed({ ...options, schedule, faultyMs });
    return found !== undefined && kindOf(found) === wanted;
  };
  let schedule = options.schedule ?? scheduleOf(options);
  let faultyMs = options.faultyMs ?? FAULTY_MS;
  // What comes after the failure had no part in it, when it failed before the healing.
  const cutMs = Math.ceil(violatedAtMs);
  const before = schedule.filter(({ atMs }) => atMs <= cutMs);
  if (cutMs < faultyMs && (await failsAlike(before, cutMs))) {
    schedule = before;
    faultyMs = cutMs;
  }
  let parts = 2;
  while (schedule.length > 1 && runs < RUNS_MAX) {
    const size = Math.ceil(schedule.length / parts);
    let isShorter = false;
    for (let start = 0; start < schedule.length && runs < RUNS_MAX; start += size) {
      const rest = [...schedule.slice(0, start), ...schedule.slice(start + size)];
      if (!(await failsAlike(rest, faultyMs))) continue;
      schedule = rest;
      isShorter = true;
      start -= size; // what followed has moved here
    }
    if (isShorter) {
      tell(`${schedule.length} events after ${runs} runs`);
      parts = Math.max(2, Math.min(parts, schedule.length));
    } else if (size === 1) {
      break;
    } else {
      parts = Math.min(schedule.length, parts * 2);
    }
  }
  const lastMs = schedule.at(-1)?.atMs ?? 0;
  for (const spareMs of [1, 500, 2_000, 5_000]) {
    const shorterMs = Math.ceil(lastMs) + spareMs;
    if (shorterMs >= faultyMs || !(await failsAlike(schedule, shorterMs))) continue;
    faultyMs = shorterMs;
    break;
  }
  return { schedule, faultyMs, runs };
}

/** What tells one failure from another, without the numbers that differ from run to run. */
function kindOf(violation: Error): string {
  if (violation instanceof SafetyViolation) return violation.property;
  return `${violation.name}: ${violation.message.replace(/\d+/g, "#").slice(0, 60)}`;
}
