/**
 * `npm run sim -- [--seeds N] [--seed S] [--profile NAME] [--bug NAME] [--trace]`: runs N seeds from S on,
 * prints one summary line, and exits 1 with the seed to replay when a promise was broken.
 * Edge: to the process.
 */
import { parseArgs } from "node:util";

import { PLANTED_BUGS } from "./sim-core.js";
import { type RunResult, runSeed } from "./sim-run.js";
import { SIM_PROFILES } from "./sim-world.js";

function main(): number {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      bug: { type: "string" },
      profile: { type: "string", default: "mixed" },
      trace: { type: "boolean", default: false },
    },
  });
  const first = wholeNumber("seed", values.seed);
  const count = wholeNumber("seeds", values.seeds);
  const bug = values.bug === undefined ? undefined : oneOf("bug", values.bug, PLANTED_BUGS);
  const profile = oneOf("profile", values.profile, SIM_PROFILES);
  const print = values.trace ? (line: string) => console.log(line) : undefined;
  const startedMs = performance.now();
  const results: RunResult[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const result = runSeed({ seed, bug, profile, print });
    results.push(result);
    if (result.violation === undefined) continue;
    console.error(result.violation.stack);
    const planted = bug === undefined ? "" : ` --bug ${bug}`;
    const replay = `npm run sim -- --seeds 1 --seed ${seed} --profile ${profile}${planted} --trace`;
    console.error(`seed ${seed} failed; replay: ${replay}`);
    return 1;
  }
  console.log(summary(results, performance.now() - startedMs));
  return 0;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new Error(`--${name} must be an integer >= 0, got ${text}`);
  return value;
}

function oneOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const chosen = choices.find((choice) => choice === text);
  if (chosen === undefined) throw new Error(`--${name} must be one of ${choices.join(", ")}, got ${text}`);
  return chosen;
}

function summary(results: readonly RunResult[], tookMs: number): string {
  const sum = (of: (result: RunResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const healMaxMs = Math.max(0, ...results.map((result) => result.healMs));
  return [
    `${results.length} seeds ok in ${(tookMs / 1000).toFixed(1)} s`,
    `${Math.round(sum((result) => result.simulatedMs) / 1000)} s simulated`,
    `${sum((result) => result.messages)} messages`,
    `${sum((result) => result.leaders)} leaders`,
    `${sum((result) => result.acknowledged)} writes acknowledged`,
    `${sum((result) => result.reads)} reads`,
    `slowest agreement ${Math.round(healMaxMs)} ms`,
  ].join(", ");
}

process.exitCode = main();
