/**
 * What many runs came to, in one line. Pure.
 */
import type { RunResult } from "./sim-run.js";

export interface Totals {
  readonly seeds: number;
  readonly simulatedMs: number;
  readonly messages: number;
  readonly leaders: number;
  readonly membershipChanges: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly operations: number;
  readonly undecided: number;
  readonly healMaxMs: number;
}

export const NO_TOTALS: Totals = {
  seeds: 0,
  simulatedMs: 0,
  messages: 0,
  leaders: 0,
  membershipChanges: 0,
  acknowledged: 0,
  reads: 0,
  operations: 0,
  undecided: 0,
  healMaxMs: 0,
};

export function addTotals(totals: Totals, result: RunResult): Totals {
  return joinTotals(totals, { ...result, seeds: 1, healMaxMs: result.healMs });
}

export function joinTotals(a: Totals, b: Totals): Totals {
  return {
    seeds: a.seeds + b.seeds,
    simulatedMs: a.simulatedMs + b.simulatedMs,
    messages: a.messages + b.messages,
    leaders: a.leaders + b.leaders,
    membershipChanges: a.membershipChanges + b.membershipChanges,
    acknowledged: a.acknowledged + b.acknowledged,
    reads: a.reads + b.reads,
    operations: a.operations + b.operations,
    undecided: a.undecided + b.undecided,
    healMaxMs: Math.max(a.healMaxMs, b.healMaxMs),
  };
}

export function summary(totals: Totals, tookMs: number): string {
  const { seeds, simulatedMs, messages, leaders, acknowledged, reads, operations, undecided } = totals;
  const ratio = Math.round(simulatedMs / Math.max(1, tookMs));
  const tangled = undecided === 0 ? "" : `, ${undecided} histories too tangled to judge`;
  return [
    `${seeds} seeds ok in ${(tookMs / 1000).toFixed(1)} s`,
    `${Math.round(simulatedMs / 1000)} s simulated (${ratio} per second)`,
    `${messages} messages`,
    `${leaders} leaders`,
    `${totals.membershipChanges} membership changes`,
    `${acknowledged} writes acknowledged`,
    `${reads} reads`,
    `${operations} operations in linearizable histories${tangled}`,
    `slowest agreement ${Math.round(totals.healMaxMs)} ms`,
  ].join(", ");
}
