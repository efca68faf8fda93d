/**
 * `npm run sim -- --cluster`: runs seeds of the cluster world, prints one summary line, and exits 1 with
 * what replays
 * the first broken promise. Edge: to the process and its arguments.
 */
import { fork } from "node:child_process";
import { parseArgs } from "node:util";
import { runClusterSeed } from "./cluster-run.js";

/** Seeds shared out over processes, each of which prints its own line. */
async function share(
  jobs: number,
  given: { readonly first: number; readonly count: number },
): Promise<number> {
  const each = Math.ceil(given.count / jobs);
  const codes = Array.from({ length: jobs }, async (_, job) => {
    const seeds = Math.min(each, given.count - job * each);
    const own = ["--jobs", "1", "--seed", String(given.first + job * each), "--seeds", String(seeds)];
    const child = fork(process.argv[1] ?? "", [...process.argv.slice(2), ...own]);
    return await new Promise<number>((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
  });
  return Math.max(...(await Promise.all(codes)));
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      cluster: { type: "boolean" },
      seeds: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      trace: { type: "boolean", default: false },
      until: { type: "string" },
      jobs: { type: "string", default: "1" },
      all: { type: "boolean", default: false },
    },
  });
  const first = Number(values.seed);
  const jobs = Number(values.jobs);
  if (jobs > 1) return await share(jobs, { first, count: Number(values.seeds) });
  const print = values.trace ? (line: string): void => console.log(line) : undefined;
  const startedMs = performance.now();
  const totals = { seeds: 0, simulatedMs: 0, commits: 0, starts: 0, deeds: 0, acknowledged: 0, failed: 0 };
  for (let seed = first; seed < first + Number(values.seeds); seed++) {
    const faultyMs = values.until === undefined ? undefined : Number(values.until);
    const result = await runClusterSeed({ seed, print, faultyMs });
    totals.seeds += 1;
    totals.simulatedMs += result.simulatedMs;
    totals.commits += result.commits;
    totals.starts += result.starts;
    totals.deeds += result.deeds;
    totals.acknowledged += result.acknowledged;
    if (result.violation === undefined) continue;
    totals.failed += 1;
    console.error(`seed ${seed} at ${result.simulatedMs.toFixed(0)} ms: ${String(result.violation)}`);
    if (!values.all) break;
  }
  const tookS = (performance.now() - startedMs) / 1_000;
  console.log(
    `${totals.seeds} seeds, ${(totals.simulatedMs / 1_000).toFixed(0)} simulated s ` +
      `in ${tookS.toFixed(1)} s, ${totals.commits} commits, ${totals.starts} containers started, ` +
      `${totals.deeds} deeds (${totals.acknowledged} kept), ${totals.failed} failed`,
  );
  return totals.failed === 0 ? 0 : 1;
}

process.exitCode = await main();
