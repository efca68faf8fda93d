/**
 * What two runs of a step differ in, and which of it is explained. Pure.
 */
import type { CompatStep } from "./compat-case.js";
import { EXPLAINED, type Explanation } from "./explained.js";
import { factsOf, factsOfErrors } from "./normalise.js";

export interface StepOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Difference {
  /** "docker: …" or "skein: …": what only that one said. */
  readonly text: string;
  readonly explanation: Explanation | undefined;
}

/** Facts of `a` that `b` lacks, repetition counted. */
function missing(a: readonly string[], b: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const fact of b) left.set(fact, (left.get(fact) ?? 0) + 1);
  return a.filter((fact) => {
    const count = left.get(fact) ?? 0;
    if (count > 0) left.set(fact, count - 1);
    return count === 0;
  });
}

function between(
  what: string,
  docker: readonly string[],
  skein: readonly string[],
  ordered: boolean,
): string[] {
  const lines = [
    ...missing(docker, skein).map((fact) => `docker ${what}: ${fact}`),
    ...missing(skein, docker).map((fact) => `skein ${what}: ${fact}`),
  ];
  const inOrder = docker.length === skein.length && docker.every((fact, i) => fact === skein[i]);
  return lines.length === 0 && ordered && !inOrder ? [`${what}: same lines in another order`] : lines;
}

export function compareStep(step: CompatStep, docker: StepOutput, skein: StepOutput): readonly Difference[] {
  const ordered = step.kind !== "unordered";
  const texts = [
    ...(docker.code === skein.code ? [] : [`exit code: docker ${docker.code}, skein ${skein.code}`]),
    ...between("out", factsOf(docker.stdout), factsOf(skein.stdout), ordered),
    ...between("err", factsOfErrors(docker.stderr), factsOfErrors(skein.stderr), ordered),
  ];
  return texts.map((text) => ({
    text,
    explanation: EXPLAINED.find(
      ({ command, difference }) => difference.test(text) && (command?.test(step.command) ?? true),
    ),
  }));
}
