/**
 * Why a task exists, and why it was told to stop, in words. The first word is fixed,
 * so that control loops of a new leader read it back from the store; what follows is for people.
 * Pure.
 */
import type { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { UpdateState } from "../../proto/gen/skein/v1/types.js";

export type CauseKind = "create" | "scale" | "update" | "rollback" | "restart" | "node" | "repair" | "job";
/** Why a task was told to stop begins with the same words, or with "removed". */
export type StopKind = Exclude<CauseKind, "create"> | "removed";

/** @returns "restart: exit code 1"; the kind alone when there is nothing to add. */
export function because(kind: CauseKind | StopKind, detail = ""): string {
  return detail === "" ? kind : `${kind}: ${detail}`;
}

export function hasCause(task: Task, ...kinds: readonly CauseKind[]): boolean {
  const text = task.createdBecause;
  return kinds.some(
    (kind) => text.startsWith(kind) && (text.length === kind.length || text[kind.length] === ":"),
  );
}

/** How a task ended, for the cause of its successor: "exit code 1", "out of memory", or its error. */
export function endOf(task: Task): string {
  const status = task.status;
  if (status === undefined) return "ended";
  if (status.container?.oomKilled === true) return "out of memory";
  const exitCode = status.container?.exitCode;
  if (status.cause === "exit-nonzero" && exitCode !== undefined) return `exit code ${exitCode}`;
  if (status.err !== "") return status.err;
  return exitCode === undefined ? status.message || "ended" : `exit code ${exitCode}`;
}

/** Tasks of an older specification make way for this: "update: image nginx:1 to nginx:2". */
export function changeOf(service: Service): {
  readonly kind: "update" | "rollback";
  readonly detail: string;
} {
  const state = service.updateStatus?.state;
  const back =
    state === UpdateState.ROLLBACK_STARTED ||
    state === UpdateState.ROLLBACK_PAUSED ||
    state === UpdateState.ROLLBACK_COMPLETED;
  return { kind: back ? "rollback" : "update", detail: service.specChange };
}

/** A new service's tasks: "create", and for whom when that was not a user: "create: stack shop revision 4". */
export function createdFor(service: Service): { readonly kind: "create"; readonly detail: string } {
  return { kind: "create", detail: service.specChange };
}

/** The last moment that a date can name. Source: ECMAScript, time values. */
const LAST_DATE_MS = 8.64e15;

/** "10:20:30 UTC", for words that name a time; "never" for one beyond all dates, as a long delay gives. */
export function clockText(atMs: number): string {
  if (!(atMs <= LAST_DATE_MS)) return "never";
  return `${new Date(atMs).toISOString().slice(-13, -5)} UTC`;
}
