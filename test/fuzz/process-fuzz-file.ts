/**
 * The files with properties to fuzz, and one of them tried in a process of its own: a crash or a hang is a
 * failure like any other. Edge: to node:child_process and dist/.
 */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CASES_MARK, FUZZ_SEED, PROPERTY_SECONDS } from "./holds.js";

export const DIST = fileURLToPath(new URL("../..", import.meta.url));
/** A property that says nothing for so long beyond its time hangs. */
const HANG_MS = 120_000;
/** What is kept of what a file prints. */
const MAX_WORDS = 1_000_000;
/** Every property is tried for one round of cases at least. */
const ONE_ROUND_SECONDS = 0.001;

export interface Fuzzed {
  readonly properties: number;
  readonly cases: number;
  /** What the file printed: seed, path and smallest case of the property are in it. */
  readonly failure?: string;
}

/** Compiled test files that use `holds`; all, or those whose path contains one of the parts. */
export function fuzzFiles(parts: readonly string[]): readonly string[] {
  return readdirSync(DIST, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.js"))
    .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
    .map((name) => join(DIST, name))
    .filter((path) => readFileSync(path, "utf8").includes("fuzz/holds.js"))
    .sort();
}

/** The seconds are the file's: its properties share them evenly, after one round of each. */
export async function fuzzFile(file: string, seconds: number, seed: number): Promise<Fuzzed> {
  const first = await fuzzProperties(file, ONE_ROUND_SECONDS, seed);
  if (first.failure !== undefined) return first;
  const rest = await fuzzProperties(file, seconds / first.properties, (seed + 1) | 0);
  return { ...rest, cases: first.cases + rest.cases };
}

/** The seconds are those of each property. */
export function fuzzProperties(file: string, seconds: number, seed: number): Promise<Fuzzed> {
  return new Promise((done, failed) => {
    const env = { ...process.env, [PROPERTY_SECONDS]: String(seconds), [FUZZ_SEED]: String(seed) };
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
      const counts = countsIn(words);
      const cases = counts.reduce((sum, count) => sum + count, 0);
      const ended = { properties: counts.length, cases };
      if (code === 0 && cases > 0) done(ended);
      else {
        const why = hung ? "hangs" : code === 0 ? "has no property" : `ended with ${signal ?? code}`;
        done({ ...ended, failure: `${why}\n${words}` });
      }
    });
  });
}

/** Cases of each property that held. */
function countsIn(words: string): readonly number[] {
  return words
    .split("\n")
    .filter((line) => line.includes(CASES_MARK))
    .map((line) => Number(line.slice(line.indexOf(CASES_MARK) + CASES_MARK.length)));
}
