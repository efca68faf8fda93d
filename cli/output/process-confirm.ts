/**
 * Asks a person yes or no before something is changed. Edge: to the process's streams.
 * Only on a terminal: a script says what it wants by a flag.
 */
import { createInterface } from "node:readline/promises";
import { InvalidArgumentError } from "../../base/errors/errors.js";

/** Somebody is there to read a question and to answer it. */
export const canAsk = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;

/** @returns whether the answer was yes; the end of the input, and Ctrl-C, are no. */
export async function confirm(question: string): Promise<boolean> {
  const output = process.stdout.isTTY === true ? process.stdout : process.stderr;
  const lines = createInterface({ input: process.stdin, output });
  const stop = new AbortController();
  lines.once("SIGINT", () => stop.abort());
  lines.once("close", () => stop.abort());
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: stop.signal });
    return /^y(es)?$/i.test(answer.trim());
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    output.write("\n");
    return false;
  } finally {
    lines.close();
  }
}

/**
 * For what is never done without a word.
 * @param instead the flag that answers yes: "--force".
 * @throws {InvalidArgumentError} standard input is no terminal.
 */
export async function confirmOr(instead: string, question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true)
    throw new InvalidArgumentError(
      `this asks before it does something, and standard input is no terminal: give ${instead} to say yes`,
    );
  return await confirm(question);
}
