/**
 * What the fuzz tests use in place of fast-check's `assert`: the same among the unit tests; under `npm run fuzz`
 * and in the fuzz part of the test command round after round with fresh seeds until the time is over.
 * Edge: to the process. A test whose name begins with "fuzz: " is tried so, one property or more in it.
 */
import fc from "fast-check";

/** How long each property is tried, in seconds; unset among the unit tests. */
export const PROPERTY_SECONDS = "SKEIN_FUZZ_PROPERTY_SECONDS";
/** The first seed, a signed 32-bit number; the next rounds have the numbers after it. */
export const FUZZ_SEED = "SKEIN_FUZZ_SEED";
/** Before the number of cases, on a line of its own. */
export const CASES_MARK = "fuzz-cases ";

export interface FuzzParameters {
  /** In the tests, and in each round of the fuzzer: 100 by default. */
  readonly numRuns?: number;
}

/** @throws Error with seed, path and the smallest case that was found. */
export function holds<Ts>(property: fc.IAsyncProperty<Ts>, parameters?: FuzzParameters): Promise<void>;
export function holds<Ts>(property: fc.IProperty<Ts>, parameters?: FuzzParameters): void;
export function holds<Ts>(
  property: fc.IAsyncProperty<Ts> | fc.IProperty<Ts>,
  parameters: FuzzParameters = {},
): Promise<void> | undefined {
  const seconds = Number(process.env[PROPERTY_SECONDS] ?? "0");
  const rounds = seconds > 0 ? new Rounds(seconds, parameters) : undefined;
  if (isAsync(property))
    return rounds === undefined ? fc.assert(property, parameters) : holdsLong(property, rounds);
  if (rounds === undefined) {
    fc.assert(property, parameters);
    return undefined;
  }
  while (rounds.next()) rounds.take(fc.check(property, rounds.parameters));
  rounds.tell();
  return undefined;
}

function isAsync<Ts>(property: fc.IAsyncProperty<Ts> | fc.IProperty<Ts>): property is fc.IAsyncProperty<Ts> {
  return property.isAsync();
}

async function holdsLong<Ts>(property: fc.IAsyncProperty<Ts>, rounds: Rounds): Promise<void> {
  while (rounds.next()) rounds.take(await fc.check(property, rounds.parameters));
  rounds.tell();
}

/** Rounds are whole, as a property that is interrupted would go on beside the next. */
class Rounds {
  readonly #end: number;
  readonly #numRuns: number;
  #seed = Number(process.env[FUZZ_SEED] ?? "0") - 1;
  #cases = 0;

  constructor(seconds: number, { numRuns = 100 }: FuzzParameters) {
    this.#end = Date.now() + seconds * 1000;
    this.#numRuns = numRuns;
  }

  get parameters(): { seed: number; numRuns: number } {
    return { seed: this.#seed, numRuns: this.#numRuns };
  }

  next(): boolean {
    this.#seed += 1;
    return this.#cases === 0 || Date.now() < this.#end;
  }

  take<Ts>(details: fc.RunDetails<Ts>): void {
    this.#cases += Math.max(1, details.numRuns);
    if (!details.failed) return;
    const words = fc.defaultReportMessage(details as fc.RunDetails<unknown>) ?? `seed ${this.#seed}`;
    throw new Error(words, { cause: details.errorInstance });
  }

  tell(): void {
    process.stdout.write(`\n${CASES_MARK}${this.#cases}\n`);
  }
}
