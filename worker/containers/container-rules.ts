/**
 * Which transition a state refuses, and in which words.
 * Pure. States and words are Docker's, so that its clients understand them.
 *
 *   created -> running <-> paused     running, paused -> exited | restarting     restarting -> running |
 * exited
 *   created, exited, dead -> removing -> (gone)
 */
import { FailedPreconditionError, InternalError, InvalidArgumentError } from "../../base/errors/errors.js";
import type { ContainerRecord } from "./container-manager.js";

/** @returns false when there is nothing to do. @throws {FailedPreconditionError} */
export function admitStart({ state }: ContainerRecord): boolean {
  switch (state) {
    case "running":
    case "restarting":
      return false;
    case "paused":
      throw new FailedPreconditionError("cannot start a paused container, try unpause instead");
    case "removing":
    case "dead":
      throw new FailedPreconditionError("container is marked for removal and cannot be started");
    default:
      return true;
  }
}

/** @throws {FailedPreconditionError} */
export function admitKill({ id, state }: ContainerRecord): void {
  if (state !== "running" && state !== "paused" && state !== "restarting") throw notRunning(id);
}

/** @throws {FailedPreconditionError} */
export function admitPause({ id, state }: ContainerRecord): void {
  if (state === "paused") throw new FailedPreconditionError(`Container ${id} is already paused`);
  if (state === "restarting") throw restarting(id);
  if (state !== "running") throw notRunning(id);
}

/** @throws {InternalError} as Docker, which takes this for no conflict. */
export function admitUnpause({ id, state }: ContainerRecord): void {
  if (state !== "paused") throw new InternalError(`Container ${id} is not paused`);
}

/** @throws {FailedPreconditionError} */
export function admitRemoval({ id, state }: ContainerRecord): void {
  if (state !== "running" && state !== "paused" && state !== "restarting") return;
  const how = state === "paused" ? "Unpause and then stop" : "Stop";
  throw new FailedPreconditionError(
    `You cannot remove a ${state} container ${id}. ${how} the container before attempting removal or force remove`,
  );
}

function notRunning(id: string): FailedPreconditionError {
  return new FailedPreconditionError(`Container ${id} is not running`);
}

function restarting(id: string): FailedPreconditionError {
  return new FailedPreconditionError(`Container ${id} is restarting, wait until the container is running`);
}

/** @throws {InvalidArgumentError} */
export function admitRename(before: string, name: string): void {
  if (name === "") throw new InvalidArgumentError("Neither old nor new names may be empty");
  if (name.replace(/^\//, "") === before) {
    throw new InvalidArgumentError("Renaming a container with the same name as its current name");
  }
}
