/**
 * `npm run fuzz -- [--minutes N] [--slice S] [--seed S] [PART of a path ...]`: every fuzz test round robin,
 * S seconds for each property, with fresh seeds; prints cases, and seed and smallest case of what failed;
 * exits 1 then. Edge: to the process and its children.
 * Each file runs in a process of its own: a crash or a hang is a failure like any other.
 */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CASES_MARK, FUZZ_SECONDS, FUZZ_SEED } from "./holds.js";

const DIST = fileURLToPath(new URL("../..", import.meta.url));
/** A property that says nothing for so long beyond its time hangs. */
const HANG_MS = 120_000;
/** What is kept of what a file prints. */
const MAX_WORDS = 1_000_000;

interface Ended {
  readonly cases: number;
  readonly failure?: string;
}

function fuzzFiles(parts: readonly string[]): readonly string[] {
  return readdirSync(DIST, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.js"))
    .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
    .map((name) => join(DIST, name))
    .filter((path) => readFileSync(path, "utf8").includes("fuzz/holds.js"))
    .sort();
}

function casesIn(words: string): number {
  let cases = 0;
  for (const line of words.split("\n")) {
    const at = line.indexOf(CASES_MARK);
    if (at >= 0) cases += Number(line.slice(at + CASES_MARK.length));
  }
  return cases;
}

function fuzzed(file: string, seconds: number, seed: number): Promise<Ended> {
  return new Promise((done, failed) => {
    const env = { ...process.env, [FUZZ_SECONDS]: String(seconds), [FUZZ_SEED]: String(seed) };
    const child = spawn(process.execPath, ["--test-name-pattern=^fuzz: ", file], { env });
    let words = "";
    let hung = false;
    const hangs = (): void => {
      hung = true;
      child.kill("SIGKILL");
    };
    let watch = setTimeout(hangs, seconds * 1000 + HANG_MS);
    const heard = (chunk: Buffer): void => {
      if (words.length < MAX_WORDS) words += chunk.toString();
      clearTimeout(watch);
      watch = setTimeout(hangs, seconds * 1000 + HANG_MS);
    };
    child.stdout.on("data", heard);
    child.stderr.on("data", heard);
    child.on("error", failed);
    child.on("close", (code, signal) => {
      clearTimeout(watch);
      const cases = casesIn(words);
      if (code === 0 && cases > 0) done({ cases });
      else {
        const why = hung ? "hangs" : code === 0 ? "has no property" : `ended with ${signal ?? code}`;
        done({ cases, failure: `${why}\n${words}` });
      }
    });
  });
}

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
      const { cases, failure } = await fuzzed(file, slice, seed);
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
