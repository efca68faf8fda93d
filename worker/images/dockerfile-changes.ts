/**
 * The Dockerfile lines that `import --change` and `commit --change` take, applied to a run config.
 * Pure. The language is the builder's. Source: Docker Engine API, POST /commit and POST /images/create.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { applyToConfig, type BuildConfig, EMPTY_BUILD_CONFIG, envValue } from "./build/build-config.js";
import { type Instruction, readInstruction } from "./build/dockerfile-instructions.js";
import { type DockerfileLine, type EscapeCharacter, readDockerfile } from "./build/dockerfile-lines.js";
import type { ImageConfig } from "./image-store.js";

const ALLOWED: ReadonlySet<string> = new Set([
  "CMD",
  "ENTRYPOINT",
  "ENV",
  "EXPOSE",
  "HEALTHCHECK",
  "LABEL",
  "ONBUILD",
  "USER",
  "VOLUME",
  "WORKDIR",
]);

/** @throws {InvalidArgumentError} naming what is wrong, in Docker's words. */
export function applyChanges(config: ImageConfig, changes: readonly string[]): ImageConfig {
  return applyBuildChanges({ ...EMPTY_BUILD_CONFIG, image: config }, changes).image;
}

/** With triggers (ONBUILD), too. @throws as applyChanges. */
export function applyBuildChanges(config: BuildConfig, changes: readonly string[]): BuildConfig {
  const text = changes.join("\n");
  if (text.split("\n").every((line) => /^\s*(#|$)/.test(line))) return config;
  const { lines, escapeWith } = readDockerfile(text);
  for (const { keyword } of lines)
    if (!ALLOWED.has(keyword))
      throw new InvalidArgumentError(`${keyword.toLowerCase()} is not a valid change command`);
  let current = config;
  for (const line of lines) {
    const instruction = readChange(line, escapeWith);
    const { kind } = instruction;
    if (kind === "from" || kind === "run" || kind === "copy" || kind === "arg") continue; // refused above
    const { env } = current.image;
    const lookup = (name: string): string | undefined => envValue(env, name);
    current = applyToConfig(current, instruction, { escapeWith, lookup }).config;
  }
  return current;
}

/** Its line means nothing to who wrote it. */
function readChange(line: DockerfileLine, escapeWith: EscapeCharacter): Instruction {
  try {
    return readInstruction(line, escapeWith).instruction;
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(error.message.replace(/^dockerfile parse error line \d+: /, ""), {
      cause: error,
    });
  }
}
