/**
 * Why a task did not run: from whatever was thrown to a cause for machines and words for people.
 * Pure. Invariant: the words are the thrower's own (the registry's, the runtime's);
 * the cause is one of a short list.
 */
import { type ErrorCode, messageOf, SkeinError } from "../../base/errors/errors.js";
import type { HealthResult } from "../../proto/engine/containers.js";
import type { ContainerRecord } from "../containers/container-manager.js";
import type { TaskFailure } from "./controller.js";

/** Every cause this node gives. docs/vocabulary.md explains them. */
export type FailureCause =
  | "image-not-found"
  | "registry-unauthenticated"
  | "registry-unavailable"
  | "image-damaged"
  | "port-in-use"
  | "network-missing"
  | "mount-missing"
  | "secret-missing"
  | "config-missing"
  | "disk-full"
  | "start-timeout"
  | "hook-failed"
  | "invalid-specification"
  | "exit-nonzero"
  | "exit-unknown"
  | "oom"
  | "unhealthy"
  | "container-removed"
  | "runtime-error";

/** A failure whose cause is known where it is thrown. */
export class TaskFailureError extends SkeinError {
  readonly failureCause: FailureCause;

  constructor(
    failureCause: FailureCause,
    message: string,
    options: { code?: ErrorCode; cause?: unknown } = {},
  ) {
    super(options.code ?? "failed-precondition", message, options);
    this.failureCause = failureCause;
  }
}

const PULL_CAUSES: Partial<Record<ErrorCode, FailureCause>> = {
  "not-found": "image-not-found",
  unauthenticated: "registry-unauthenticated",
  "permission-denied": "registry-unauthenticated",
  unavailable: "registry-unavailable",
  "deadline-exceeded": "registry-unavailable",
  "data-loss": "image-damaged",
  "invalid-argument": "invalid-specification",
};

/** What a failed pull means. */
export function pullFailure(error: unknown): TaskFailureError {
  const code = error instanceof SkeinError ? error.code : "internal";
  if (isDiskFull(error)) return new TaskFailureError("disk-full", messageOf(error), { code, cause: error });
  return new TaskFailureError(PULL_CAUSES[code] ?? "runtime-error", messageOf(error), { code, cause: error });
}

/**
 * What a sandbox that could not be made means. The plane refuses with one class;
 * its documented words tell which.
 */
export function sandboxFailure(error: unknown): TaskFailureError {
  const message = messageOf(error);
  const refused = error instanceof SkeinError && error.code === "failed-precondition";
  const cause: FailureCause = !refused
    ? "runtime-error"
    : /^port \S+ is already in use/.test(message)
      ? "port-in-use"
      : "network-missing";
  return new TaskFailureError(cause, message, { cause: error });
}

export function failureOf(error: unknown): TaskFailure {
  if (error instanceof TaskFailureError) return { cause: error.failureCause, message: error.message };
  return { cause: otherCause(error), message: messageOf(error) };
}

function otherCause(error: unknown): FailureCause {
  if (isDiskFull(error)) return "disk-full";
  const code = error instanceof SkeinError ? error.code : "internal";
  if (code === "deadline-exceeded") return "start-timeout";
  return code === "invalid-argument" ? "invalid-specification" : "runtime-error";
}

/** The kernel's words reach us through several programs: they are all that these have in common. */
function isDiskFull(error: unknown): boolean {
  return /no space left on device|disk quota exceeded|\bENOSPC\b|\bEDQUOT\b/i.test(messageOf(error));
}

/** Characters of a probe's output that are told: the rest is in the container's inspection. */
const PROBE_OUTPUT_MAX = 200;

/** What a task says that its health check has failed: how its last probe ended, and what that wrote. */
export function unhealthyWords(last: HealthResult | undefined): string {
  const words = "unhealthy container: its health check failed";
  if (last === undefined) return words;
  const output = last.output.trim().replaceAll(/\s+/g, " ");
  const shown = output.length > PROBE_OUTPUT_MAX ? `${output.slice(0, PROBE_OUTPUT_MAX - 1)}…` : output;
  const ended =
    last.exitCode < 0 ? "the last probe did not end in time" : `the last probe exited with ${last.exitCode}`;
  return `${words}: ${ended}${shown === "" ? "" : `: ${shown}`}`;
}

/** How a container that has exited ended; undefined: well. */
export function exitFailure(container: ContainerRecord): TaskFailure | undefined {
  const { exitCode, oomKilled, error } = container;
  if (exitCode === 0) return undefined;
  const detail = error === "" ? "" : `: ${error}`;
  if (oomKilled)
    return { cause: "oom", message: `task: out of memory, killed by the kernel (exit ${exitCode})${detail}` };
  if (exitCode < 0)
    return { cause: "exit-unknown", message: `task: ended with an unknown exit code${detail}` };
  return { cause: "exit-nonzero", message: `task: non-zero exit (${exitCode})${detail}` };
}
