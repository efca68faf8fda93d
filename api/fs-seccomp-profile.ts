/**
 * The seccomp profile the daemon's settings name. Edge: to node:fs.
 */
import { readFileSync } from "node:fs";
import { FailedPreconditionError, messageOf } from "../base/errors/errors.js";
import type { ContainerSpecification } from "../proto/engine/containers.js";

/**
 * @param setting path of a profile, "unconfined", or "" (also "builtin") for the built-in one
 * @throws {FailedPreconditionError} the file cannot be read
 */
export function seccompProfile(setting: string): ContainerSpecification["seccomp"] {
  if (setting === "" || setting === "builtin") return { kind: "default" };
  if (setting === "unconfined") return { kind: "unconfined" };
  try {
    return { kind: "custom", profile: new Uint8Array(readFileSync(setting)) };
  } catch (error) {
    throw new FailedPreconditionError(`opening seccomp profile ${setting} failed: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
