/**
 * The fuzz part of the test command: every fuzz file for the same time, with a fresh seed, some at a time.
 * Edge: to the processes of the files and the clock.
 */
import { relative } from "node:path";
import { DIST, fuzzFile } from "./process-fuzz-file.js";

/** Seconds for each fuzz file in the test command; 0 leaves the part out. */
export const FILE_SECONDS = "SKEIN_FUZZ_SECONDS";
const DEFAULT_FILE_SECONDS = 60;

/** @throws Error when the environment asks for something that is no time. */
export function fuzzSecondsPerFile(environment: Readonly<Record<string, string | undefined>>): number {
  const text = environment[FILE_SECONDS];
  const seconds = text === undefined || text === "" ? DEFAULT_FILE_SECONDS : Number(text);
  if (!(seconds >= 0 && seconds <= 86_400))
    throw new Error(`${FILE_SECONDS} must be a number of seconds from 0 to 86400, got ${text}`);
  return seconds;
}

export interface FuzzPart {
  readonly files: readonly string[];
  readonly seconds: number;
  /** Files tried at the same time. */
  readonly concurrency: number;
  readonly say: (line: string) => void;
}

/** How many files held and how many failed; a failed one is told at once, with its seed. */
export async function runFuzzPart(part: FuzzPart): Promise<{ pass: number; fail: number }> {
  const waiting = [...part.files];
  const totals = { pass: 0, fail: 0 };
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const name = relative(DIST, file);
      const seed = Date.now() % 2 ** 31;
      const { properties, cases, failure } = await fuzzFile(file, part.seconds, seed);
      if (failure === undefined) {
        totals.pass += 1;
        part.say(`✔ ${name}: ${cases} cases of ${properties} properties, first seed ${seed}`);
        continue;
      }
      totals.fail += 1;
      part.say(`✖ ${name}, first seed ${seed}: ${failure}`);
      part.say(`again: npm run fuzz -- --minutes 1 --seed SEED-OF-THE-PROPERTY ${name}\n`);
    }
  };
  await Promise.all(Array.from({ length: part.concurrency }, worker));
  return totals;
}
