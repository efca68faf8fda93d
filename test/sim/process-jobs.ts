/**
 * Seeds shared out over several processes. Edge: to node:child_process.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { joinTotals, NO_TOTALS, type Totals } from "./sim-totals.js";

export interface SeedRange {
  readonly first: number;
  readonly count: number;
  /** From one seed to the next. */
  readonly step: number;
}

interface Report {
  readonly totals: Totals;
  readonly failed: number | undefined;
}

/** @param args those of this process; each child gets them with a range of its own. */
export async function runJobs(jobs: number, range: SeedRange, args: readonly string[]): Promise<Report> {
  const children: ChildProcess[] = [];
  const reports = Array.from({ length: jobs }, (_, job) => {
    const count = Math.ceil((range.count - job) / jobs);
    const own = ["--jobs", "1", "--seed", `${range.first + job}`, "--seeds", `${count}`, "--step", `${jobs}`];
    const script = fileURLToPath(new URL(import.meta.url)).replace(/process-jobs\.(ts|js)$/, "main.$1");
    const child = fork(script, [...args, ...own]);
    children.push(child);
    return reportOf(child);
  });
  let totals = NO_TOTALS;
  let failed: number | undefined;
  for await (const report of reports) {
    totals = joinTotals(totals, report.totals);
    failed ??= report.failed;
    if (failed !== undefined) for (const child of children) child.kill();
  }
  return { totals, failed };
}

function reportOf(child: ChildProcess): Promise<Report> {
  return new Promise((resolve) => {
    let report: Report = { totals: NO_TOTALS, failed: -1 };
    child.on("message", (message: Report) => {
      report = message;
    });
    child.on("exit", () => resolve(report));
  });
}
