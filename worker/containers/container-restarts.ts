/**
 * Whether and when a container that has ended is started again.
 * Pure. Rules are Docker's: a pause of 100 ms doubles at each end up to a minute, and begins anew once a run
 * has lasted ten seconds; who was stopped by hand stays so, over a restart of the daemon only where its
 * policy is unless-stopped or on-failure.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerRecord, RestartPolicy } from "./container-manager.js";

export const NO_RESTART: RestartPolicy = { name: "no", maximumRetryCount: 0 };

const PAUSE_FIRST_MS = 100;
const PAUSE_MAX_MS = 60_000;
const SETTLED_AFTER_MS = 10_000;

export interface EndedRun {
  readonly exitCode: number;
  /** Starts by the policy so far. */
  readonly restartCount: number;
  /** Stopped or killed on request since its last start. */
  readonly stoppedByHand: boolean;
}

/** @param moment exit: it ended while the daemon watches; boot: the daemon came back and finds it ended. */
export function restarts(policy: RestartPolicy, run: EndedRun, moment: "exit" | "boot"): boolean {
  switch (policy.name) {
    case "always":
      return !run.stoppedByHand || moment === "boot";
    case "unless-stopped":
      return !run.stoppedByHand;
    case "on-failure":
      if (run.stoppedByHand || run.exitCode === 0) return false;
      return policy.maximumRetryCount === 0 || run.restartCount < policy.maximumRetryCount;
    default:
      return false;
  }
}

/** @param lastMs the pause before; 0: none yet. @param ranMs how long the run lasted. */
export function restartPauseMs(lastMs: number, ranMs: number): number {
  if (lastMs === 0 || ranMs >= SETTLED_AFTER_MS) return PAUSE_FIRST_MS;
  return Math.min(PAUSE_MAX_MS, lastMs * 2);
}

export function endedRun(record: ContainerRecord, stoppedByHand: boolean): EndedRun {
  return { exitCode: record.exitCode, restartCount: record.restartCount ?? 0, stoppedByHand };
}

/** @throws {InvalidArgumentError} in Docker's words. */
export function admitRestartPolicy(policy: RestartPolicy, autoRemove: boolean): void {
  const { name, maximumRetryCount } = policy;
  if (!["no", "always", "unless-stopped", "on-failure"].includes(name)) {
    throw new InvalidArgumentError(`invalid restart policy '${name}'`);
  }
  if (name !== "on-failure" && maximumRetryCount !== 0) {
    throw new InvalidArgumentError(`maximum retry count cannot be used with restart policy '${name}'`);
  }
  if (maximumRetryCount < 0) throw new InvalidArgumentError("maximum retry count cannot be negative");
  if (autoRemove && name !== "no") {
    throw new InvalidArgumentError("can't create 'AutoRemove' container with restart policy");
  }
}
