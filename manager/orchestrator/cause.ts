/**
 * Why a task exists, in words. The first word is fixed,
 * so that control loops of a new leader read it back from the store; what follows is for people.
 * Pure.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";

export type CauseKind = "create" | "scale" | "update" | "rollback" | "restart" | "node" | "repair" | "job";

/** @returns "restart: exit code 1"; the kind alone when there is nothing to add. */
export function because(kind: CauseKind, detail = ""): string {
  return detail === "" ? kind : `${kind}: ${detail}`;
}

export function hasCause(task: Task, ...kinds: readonly CauseKind[]): boolean {
  const word = task.createdBecause.split(":", 1)[0];
  return kinds.some((kind) => kind === word);
}

/** How a task ended, for the cause of its successor: "exit code 1", "out of memory", or its error. */
export function endOf(task: Task): string {
  const status = task.status;
  if (status === undefined) return "ended";
  if (status.container?.oomKilled === true) return "out of memory";
  if (status.err !== "") return status.err;
  const exitCode = status.container?.exitCode;
  return exitCode === undefined ? status.message || "ended" : `exit code ${exitCode}`;
}
