/**
 * `npm run fuzz -- [--minutes N] [--slice S] [--seed S] [PART of a path ...]`: every fuzz test round robin,
 * S seconds for each property, with fresh seeds; prints cases, and seed and smallest case of what failed;
 * exits 1 then. Edge: to the process and its children.
 */
import { relative } from "node:path";
import { parseArgs } from "node:util";
import { DIST, fuzzFiles, fuzzProperties } from "./process-fuzz-file.js";

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: "string", default: "60" },
      slice: { type: "string", default: "10" },
      seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    },
  });
  const [minutes, slice, first] = [Number(values.minutes), Number(values.slice), Number(values.seed)];
  if (!(minutes > 0)) throw new Error(`--minutes must be a number > 0, got ${values.minutes}`);
  if (!(slice > 0)) throw new Error(`--slice must be a number of seconds > 0, got ${values.slice}`);
  if (!Number.isInteger(first)) throw new Error(`--seed must be a whole number, got ${values.seed}`);
  const files = fuzzFiles(positionals);
  if (files.length === 0) throw new Error("no fuzz test has such a path");
  console.log(`${files.length} files, ${minutes} minutes, first seed ${first}`);
  const end = Date.now() + minutes * 60_000;
  const totals = new Map<string, number>();
  let failures = 0;
  for (let round = 0; Date.now() < end; round++) {
    for (const file of files) {
      if (Date.now() >= end) break;
      const name = relative(DIST, file);
      // seeds of a round lie far enough apart for the rounds within a slice
      const seed = (first + round * 100_000) | 0;
      const { cases, failure } = await fuzzProperties(file, slice, seed);
      totals.set(name, (totals.get(name) ?? 0) + cases);
      if (failure === undefined) continue;
      failures += 1;
      console.log(`\nFAILED ${name}, seed ${seed}, ${new Date().toISOString()}: ${failure}`);
    }
    console.log(`round ${round + 1}: ${[...totals.values()].reduce((a, b) => a + b, 0)} cases`);
  }
  for (const [name, cases] of totals) console.log(`${String(cases).padStart(12)}  ${name}`);
  console.log(`${failures} failures`);
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
