/**
 * A whole Dockerfile: arguments before the first FROM, and its stages. Pure.
 * Source: Dockerfile reference, FROM and ARG.
 */
import { InvalidArgumentError } from "../../../base/errors/errors.js";
import type { Instruction, Step } from "./dockerfile-instructions.js";
import { readInstruction } from "./dockerfile-instructions.js";
import { type EscapeCharacter, readDockerfile } from "./dockerfile-lines.js";

export interface Stage {
  readonly from: Extract<Instruction, { kind: "from" }>;
  readonly text: string;
  readonly steps: readonly Step[];
}

export interface Dockerfile {
  readonly globalArgs: readonly Step[];
  readonly stages: readonly Stage[];
  readonly escapeWith: EscapeCharacter;
  readonly warnings: readonly string[];
}

/** @throws {InvalidArgumentError} with the line. */
export function parseDockerfile(text: string): Dockerfile {
  const { lines, escapeWith, warnings } = readDockerfile(text);
  const globalArgs: Step[] = [];
  const stages: (Stage & { readonly steps: Step[] })[] = [];
  for (const line of lines) {
    const step = readInstruction(line, escapeWith);
    const { instruction } = step;
    if (instruction.kind === "from") {
      stages.push({ from: instruction, text: step.text, steps: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage !== undefined) stage.steps.push(step);
    else if (instruction.kind === "arg") globalArgs.push(step);
    else throw new InvalidArgumentError("no build stage in current context");
  }
  return { globalArgs, stages, escapeWith, warnings };
}

/**
 * Stages up to the wanted one, which is the last without a target.
 * @throws {InvalidArgumentError} no such stage.
 */
export function stagesUpTo(stages: readonly Stage[], target: string): readonly Stage[] {
  if (target === "") return stages;
  const byName = stages.findIndex(({ from }) => from.name !== "" && from.name === target.toLowerCase());
  const index = byName >= 0 ? byName : /^\d+$/.test(target) ? Number(target) : stages.length;
  if (index >= stages.length)
    throw new InvalidArgumentError(`failed to reach build target ${target} in Dockerfile`);
  return stages.slice(0, index + 1);
}
