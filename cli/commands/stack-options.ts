/**
 * Flags that several `skein stack` commands share, and what they mean. Pure.
 */
import { type Command, Option } from "commander";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { StackRequest } from "../../proto/stack-api.js";
import { listOption } from "../service/service-flags.js";
import type { ProjectFlags } from "../stack/fs-stack-project.js";
import type { ResolveWhen } from "../stack/image-pins.js";
import { parseDuration } from "../units.js";

export interface DeploymentFlags {
  readonly detach?: boolean;
  readonly quiet?: boolean;
  readonly yes?: boolean;
  readonly timeout?: string;
  readonly onFailure?: "rollback" | "keep";
}

export interface RequestFlags extends ProjectFlags {
  readonly prune?: boolean;
  readonly withRegistryAuth?: boolean;
  readonly resolveImage?: ResolveWhen;
}

export function addProjectFlags(command: Command): Command {
  return command
    .addOption(
      listOption(
        "-c, --compose-file <file>",
        "compose file, or - for standard input; several merge in order (default: compose.yaml of this folder)",
      ),
    )
    .addOption(listOption("--env-file <file>", "variables for the compose file, instead of .env"))
    .addOption(listOption("--profile <name>", "also the services of this profile"))
    .option("--project-directory <folder>", "where relative paths begin (default: the first file's folder)");
}

export function addRequestFlags(command: Command): Command {
  return addProjectFlags(command)
    .option("--prune", "remove what the stack has and the file no longer has")
    .addOption(
      new Option("--resolve-image <when>", "ask the registry for the images' digests")
        .choices(["always", "changed", "never"])
        .default("always"),
    )
    .option("--with-registry-auth", "send the registry's credentials along (from the docker configuration)");
}

export function addDeploymentFlags(command: Command): Command {
  return command
    .option("-d, --detach", "return as soon as it is accepted, instead of following it to its end")
    .option("-q, --quiet", "no progress")
    .option("-y, --yes", "don't ask, also on a terminal")
    .option("--timeout <duration>", "what does not run by then has failed (default 10m)")
    .addOption(
      new Option(
        "--on-failure <what>",
        "rollback: go back to the last good revision; keep: leave it as it is",
      )
        .choices(["rollback", "keep"])
        .default("rollback"),
    );
}

const TIMEOUT_MS_MAX = 24 * 3_600_000;

/** @throws {InvalidArgumentError} */
export function deploymentFields(flags: DeploymentFlags): Pick<StackRequest, "Timeout" | "OnFailure"> {
  if (flags.timeout === undefined) return { OnFailure: flags.onFailure ?? "rollback" };
  const timeoutMs = Math.round(parseDuration(flags.timeout, "--timeout") / 1e6);
  if (timeoutMs < 1 || timeoutMs > TIMEOUT_MS_MAX)
    throw new InvalidArgumentError(
      `--timeout must be between 1ms and 24h, got ${JSON.stringify(flags.timeout)}`,
    );
  return { OnFailure: flags.onFailure ?? "rollback", Timeout: timeoutMs };
}

export const addJsonFormat = (command: Command): Command =>
  command.option("--format <format>", "text or json (default text)");

/** @throws {InvalidArgumentError} */
export function wantsJson(format: string | undefined): boolean {
  if (format !== undefined && format !== "json" && format !== "text")
    throw new InvalidArgumentError(`--format must be text or json, got ${JSON.stringify(format)}`);
  return format === "json";
}

/** @throws {InvalidArgumentError} */
export function revisionNumber(text: string, what = "the revision"): number {
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new InvalidArgumentError(
      `${what} must be a number of 'skein stack history', got ${JSON.stringify(text)}`,
    );
  return Number(text);
}
