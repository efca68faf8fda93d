/** What a soak found, and its words. Pure. */
import type { SoakOperation } from "./soak-record.js";

export interface SoakReport {
  readonly seed: string;
  readonly managers: number;
  /** Empty: the run is clean. */
  readonly problems: readonly string[];
  /** Worth a look, but no broken promise. */
  readonly oddities: readonly string[];
  readonly operations: Tally;
  readonly faults: readonly (readonly [string, number])[];
  readonly quorumLosses: number;
  readonly quorumLossMs: number;
  /** Between two acknowledged writes, times without a quorum included. */
  readonly longestWithoutWriteMs: number;
  /** From the end of a round of faults to the next acknowledged write; ascending. */
  readonly recoveriesMs: readonly number[];
  readonly replicas: string;
  readonly checkMs: number;
  /** Warnings and errors of the daemons. */
  readonly logCounts: readonly (readonly [string, number])[];
}

export interface Tally {
  readonly writes: Readonly<Record<"ok" | "refused" | "unknown", number>>;
  readonly reads: Readonly<Record<"ok" | "refused" | "unknown", number>>;
  /** Why operations had no clean answer, most frequent first. */
  readonly reasons: readonly (readonly [string, number])[];
}

export function tally(records: readonly SoakOperation<{ readonly kind: string }, unknown>[]): Tally {
  const writes = { ok: 0, refused: 0, unknown: 0 };
  const reads = { ok: 0, refused: 0, unknown: 0 };
  const reasons = new Map<string, number>();
  for (const { input, outcome, why } of records) {
    const isRead = input.kind === "read";
    (isRead ? reads : writes)[outcome] += 1;
    if (outcome === "ok") continue;
    const reason = `${isRead ? "read" : "write"} ${outcome}: ${withoutNames(why ?? "")}`;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return { writes, reads, reasons: [...reasons].sort(([, a], [, b]) => b - a) };
}

/** Names, ids and numbers are taken out, so that like reasons count as one. */
function withoutNames(why: string): string {
  return why
    .replace(/\b[rsg]\d+-[\w-]+/g, "NAME")
    .replace(/\/configs\/\S+/g, "/configs/…")
    .replace(/\b[0-9a-z]{25}\b/g, "ID")
    .replace(/\d+\.\d+\.\d+\.\d+(:\d+)?/g, "ADDRESS")
    .replace(/\/tmp\/\S+/g, "PATH")
    .slice(0, 160);
}

export function reportText(report: SoakReport): string {
  const { operations, recoveriesMs, problems, oddities } = report;
  const percentile = (part: number): string => {
    const value = recoveriesMs[Math.min(recoveriesMs.length - 1, Math.floor(recoveriesMs.length * part))];
    return value === undefined ? "-" : `${Math.round(value)} ms`;
  };
  const counts = ({ ok, refused, unknown }: Tally["writes"]): string =>
    `${ok} answered, ${refused} refused, ${unknown} unknown`;
  return [
    `soak with ${report.managers} managers, seed ${report.seed}`,
    `writes: ${counts(operations.writes)}`,
    `reads: ${counts(operations.reads)}`,
    ...operations.reasons.slice(0, 20).map(([reason, count]) => `  ${count} × ${reason}`),
    "faults:",
    ...report.faults.map(([kind, count]) => `  ${count} × ${kind}`),
    `without a quorum: ${report.quorumLosses} times, ${Math.round(report.quorumLossMs)} ms together`,
    `longest time without an acknowledged write: ${Math.round(report.longestWithoutWriteMs)} ms`,
    `from the end of a fault to the next write: median ${percentile(0.5)}, 90 % ${percentile(0.9)}, ` +
      `longest ${percentile(1)}`,
    `replicas: ${report.replicas}`,
    `history checked in ${Math.round(report.checkMs)} ms`,
    "daemons' warnings and errors:",
    ...report.logCounts.slice(0, 25).map(([what, count]) => `  ${count} × ${what}`),
    ...oddities.map((what) => `odd: ${what}`),
    ...problems.map((what) => `WRONG: ${what}`),
    problems.length === 0 ? "clean" : `${problems.length} problems; seed ${report.seed}`,
  ].join("\n");
}
