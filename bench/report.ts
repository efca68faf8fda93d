/**
 * How benchmarks report: a table for people, then one JSON line for programs.
 * Edge: to the process and node:os.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export interface Sample {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** Which of the values is reported and held against the goal. @default "median" */
  readonly pick?: "median" | "max";
  /** The goal, in the same unit; absent: reported without one. */
  readonly goal?: number;
  /** The goal itself is good enough: "at most", "at least". @default false */
  readonly inclusive?: boolean;
  readonly better?: "lower" | "higher";
  /** The peer's figure measured in the same run. */
  readonly peer?: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

const round = (value: number): number => Number(value.toPrecision(4));

function machine(): string {
  return (
    `${cpus().length} x ${cpus()[0]?.model ?? "cpu"}, ${Math.round(totalmem() / 2 ** 30)} GiB, ` +
    `Linux ${release()}, node ${process.version}`
  );
}

function isMet({ goal, better, inclusive }: Sample, value: number): boolean | undefined {
  if (goal === undefined) return undefined;
  if (inclusive === true && value === round(goal)) return true;
  return better === "higher" ? value > goal : value < goal;
}

/** Prints the table and, last, the JSON line. */
export function report(bench: string, samples: readonly Sample[]): void {
  const rows = samples.map((sample) => {
    const value = round(sample.pick === "max" ? Math.max(...sample.values) : median(sample.values));
    const better = sample.better ?? "lower";
    return { ...sample, value, better, met: isMet(sample, value) };
  });
  const cells = [
    ["measure", "value", "min", "max", "n", "goal", "peer"],
    ...rows.map((row) => [
      row.name,
      `${row.value} ${row.unit}`,
      String(round(Math.min(...row.values))),
      String(round(Math.max(...row.values))),
      String(row.values.length),
      row.goal === undefined
        ? ""
        : `${row.better === "lower" ? "<" : ">"}${row.inclusive ? "=" : ""} ${round(row.goal)}: ` +
          (row.met ? "met" : "MISSED"),
      row.peer === undefined ? "" : String(round(row.peer)),
    ]),
  ];
  const widths = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((line) => (line[i] ?? "").length)));
  console.log(`\n${bench} on ${machine()}`);
  for (const line of cells)
    console.log(
      `  ${line
        .map((cell, i) => cell.padEnd((widths[i] ?? 0) + 2))
        .join("")
        .trimEnd()}`,
    );
  const line = JSON.stringify({
    bench,
    machine: machine(),
    goals: rows.map((row) => ({
      name: row.name,
      value: row.value,
      unit: row.unit,
      goal: row.goal === undefined ? null : round(row.goal),
      better: row.better,
      met: row.met ?? null,
      peer: row.peer === undefined ? null : round(row.peer),
      n: row.values.length,
      min: round(Math.min(...row.values)),
      max: round(Math.max(...row.values)),
    })),
  });
  // The last result stands beside the benchmark, so that a change shows in the history.
  const folder = new URL(
    import.meta.url.includes("/dist/") ? "../../bench/results/" : "./results/",
    import.meta.url,
  );
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL(`${bench}.json`, folder), `${line}\n`);
  console.log(line);
}
