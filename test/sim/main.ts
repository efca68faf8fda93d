/**
 * `npm run sim`: runs seeds, prints one summary line, and exits 1 with what replays the first broken promise.
 * Edge: to the process and its arguments.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runJobs, type SeedRange } from "./process-jobs.js";
import { PLANTED_BUGS, type PlantedBug, type WorldName } from "./sim-bugs.js";
import { minimise } from "./sim-minimiser.js";
import { type Place, placeOf } from "./sim-mix.js";
import { PROFILE_NAMES, type ProfileName } from "./sim-profiles.js";
import { type RunOptions, type RunResult, runSeed, scheduleOf } from "./sim-run.js";
import { formatSchedule, parseSchedule } from "./sim-schedule.js";
import { addTotals, NO_TOTALS, summary, type Totals } from "./sim-totals.js";

const USAGE = `npm run sim -- [--seeds N] [--seed S] [--world core|host] [--profile NAME] [--bug NAME]
             [--jobs N] [--trace] [--minimise] [--schedule FILE] [--until MS]
  --seeds N        so many seeds, from --seed on (100)
  --seed S         the first one (1)
  --world NAME     core (the core and a disk of entries) or host (the whole host on a disk of bytes); else a mix
  --profile NAME   ${PROFILE_NAMES.join(", ")}; else a mix
  --bug NAME       plants a bug: ${PLANTED_BUGS.join(", ")}
  --jobs N         processes (1)
  --trace          prints what happens
  --minimise       shortens the schedule of a seed that fails, and writes it to sim-SEED.schedule
  --schedule FILE  runs this schedule instead of the seed's own
  --until MS       simulated milliseconds under faults (20000)
  --cluster        whole clusters: managers, agents, containers; takes --seeds, --seed, --trace, --until, --jobs`;

interface Arguments {
  readonly range: SeedRange;
  readonly wanted: Partial<Place>;
  readonly run: Pick<RunOptions, "bug" | "faultyMs" | "schedule" | "print">;
  readonly jobs: number;
  readonly minimise: boolean;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "100" },
      seed: { type: "string", default: "1" },
      step: { type: "string", default: "1" },
      world: { type: "string" },
      profile: { type: "string" },
      bug: { type: "string" },
      jobs: { type: "string", default: "1" },
      trace: { type: "boolean", default: false },
      minimise: { type: "boolean", default: false },
      schedule: { type: "string" },
      until: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const { schedule } = values;
  const parsed: Arguments = {
    range: {
      first: wholeNumber("seed", values.seed),
      count: wholeNumber("seeds", values.seeds),
      step: wholeNumber("step", values.step),
    },
    wanted: {
      ...(values.world !== undefined && { world: oneOf<WorldName>("world", values.world, ["core", "host"]) }),
      ...(values.profile !== undefined && {
        profile: oneOf<ProfileName>("profile", values.profile, PROFILE_NAMES),
      }),
    },
    run: {
      bug: values.bug === undefined ? undefined : oneOf<PlantedBug>("bug", values.bug, PLANTED_BUGS),
      faultyMs: values.until === undefined ? undefined : wholeNumber("until", values.until),
      schedule: schedule === undefined ? undefined : parseSchedule(readFileSync(schedule, "utf8")),
      print: values.trace ? (line: string) => console.log(line) : undefined,
    },
    jobs: wholeNumber("jobs", values.jobs),
    minimise: values.minimise,
  };
  const startedMs = performance.now();
  const { totals, failed } =
    parsed.jobs > 1 ? await runJobs(parsed.jobs, parsed.range, process.argv.slice(2)) : await runAll(parsed);
  if (process.send !== undefined && values.step !== "1") process.send({ totals, failed });
  else if (failed === undefined) console.log(summary(totals, performance.now() - startedMs));
  return failed === undefined ? 0 : 1;
}

async function runAll(parsed: Arguments): Promise<{ totals: Totals; failed: number | undefined }> {
  let totals = NO_TOTALS;
  const { first, count, step } = parsed.range;
  const stackDepth = Error.stackTraceLimit;
  // Refusals are part of a stormy life, and stacks are what they cost most.
  Error.stackTraceLimit = 0;
  for (let seed = first; seed < first + count * step; seed += step) {
    const options: RunOptions = { seed, ...placeOf(seed, parsed.wanted), ...parsed.run };
    const result = await runSeed(options);
    totals = addTotals(totals, result);
    if (result.violation === undefined) continue;
    Error.stackTraceLimit = stackDepth;
    await explain(options, result, parsed.minimise);
    return { totals, failed: seed };
  }
  return { totals, failed: undefined };
}

async function explain(options: RunOptions, result: RunResult, wantsMinimum: boolean): Promise<void> {
  const { seed, world, profile, bug } = options;
  const again = await runSeed({ ...options, print: undefined });
  console.error((again.violation ?? result.violation)?.stack);
  if (again.traceHash !== result.traceHash)
    console.error("the second run was another one: not deterministic");
  const planted = bug === undefined ? "" : ` --bug ${bug}`;
  const replay = `npm run sim -- --seeds 1 --seed ${seed} --world ${world} --profile ${profile}${planted}`;
  console.error(`seed ${seed} failed at ${result.violatedAtMs?.toFixed(1)} ms; replay: ${replay} --trace`);
  if (!wantsMinimum) return;
  const shortest = await minimise({ ...options, print: undefined }, (line) => console.error(line));
  const file = `sim-${seed}.schedule`;
  const { faultyMs, schedule, runs } = shortest;
  const why = result.violation?.message.split("\n")[0];
  const head = `# ${why}\n# ${replay} --until ${faultyMs} --schedule ${file}\n`;
  writeFileSync(file, head + formatSchedule(schedule));
  console.error(`${head}${formatSchedule(schedule)}`);
  const before = scheduleOf(options).length;
  console.error(`${before} events became ${schedule.length} in ${runs} runs; written to ${file}`);
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

if (process.argv.includes("--cluster")) await import("./cluster/main.js");
else process.exitCode = await main();
