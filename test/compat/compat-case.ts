/**
 * What is run against both daemons, read from cases/*.txt. Pure.
 *
 *   == name of the case
 *   $ command        runs, and is compared
 *   ~ command        the same; the order of its lines is not compared
 *   @ command        prepares: runs, and is not compared
 *   any other line   belongs to the command above it
 *
 * The steps of a case share one shell: variables stay. `docker` is the stock CLI; `api METHOD PATH [JSON]`
 * prints an answer's body and then its status; `build OPTIONS <<'END'` builds the Dockerfile that follows.
 * The image `box` (static busybox) is there before each case, and whatever a case makes is removed after it.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";

export interface CompatStep {
  readonly kind: "compared" | "unordered" | "preparing";
  readonly command: string;
}

export interface CompatCase {
  readonly name: string;
  readonly steps: readonly CompatStep[];
}

const KINDS = { $: "compared", "~": "unordered", "@": "preparing" } as const;

/** @throws {InvalidArgumentError} a line before the first case. */
export function parseCases(text: string): readonly CompatCase[] {
  const cases: { name: string; steps: { kind: CompatStep["kind"]; command: string }[] }[] = [];
  for (const line of text.split("\n")) {
    const current = cases.at(-1);
    const [, mark = "", rest = ""] = /^(==|[$~@]) (.*)$/.exec(line) ?? [];
    if (mark === "==") cases.push({ name: rest, steps: [] });
    else if (mark !== "") current?.steps.push({ kind: KINDS[mark as keyof typeof KINDS], command: rest });
    else if (line !== "" && current === undefined)
      throw new InvalidArgumentError(`no case begins before the line ${JSON.stringify(line)}`);
    else if (line !== "" && current !== undefined) {
      const step = current.steps.at(-1);
      if (step !== undefined) step.command += `\n${line}`;
    }
  }
  return cases;
}
