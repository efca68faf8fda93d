/**
 * Asks on a terminal before something is changed. Edge: to the process's streams.
 */
import { createInterface } from "node:readline/promises";

/** Somebody is there to read a question and to answer it. */
export const canAsk = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;

/** @returns whether the answer was yes; the end of the input, and Ctrl-C, are no. */
export async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const stop = new AbortController();
  lines.once("SIGINT", () => stop.abort());
  lines.once("close", () => stop.abort());
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: stop.signal });
    return /^y(es)?$/i.test(answer.trim());
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.stdout.write("\n");
    return false;
  } finally {
    lines.close();
  }
}
