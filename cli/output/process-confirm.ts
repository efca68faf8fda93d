/**
 * Asks a person yes or no. Edge: to the process's standard input and error.
 * Only on a terminal: a script says what it wants by a flag.
 */
import { createInterface } from "node:readline/promises";
import { InvalidArgumentError } from "../../base/errors/errors.js";

/**
 * @param instead the flag that answers yes: "--force".
 * @throws {InvalidArgumentError} standard input is no terminal.
 */
export async function confirm(question: string, instead: string): Promise<boolean> {
  if (process.stdin.isTTY !== true)
    throw new InvalidArgumentError(
      `this asks before it does something, and standard input is no terminal: give ${instead} to say yes`,
    );
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
