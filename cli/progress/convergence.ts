/**
 * How far a service is from what its specification asks for: from its API object and its up-to-date tasks.
 * Pure.
 * Done means: as many tasks of the newest specification run as should (or, for a job, have completed), and no
 * update is under way.
 */
import { inner, textOf } from "../context.js";
import type { Row } from "../output/table.js";
import { shortId } from "../output/words.js";

export interface SlotProgress {
  /** "3/5" in a replicated service, the node's id in a global one. */
  readonly label: string;
  readonly state: string;
  /** Why the newest try, or the one before it, failed; "" when nothing did. */
  readonly error: string;
}

export interface Convergence {
  readonly done: boolean;
  /** Why it will not converge by itself. */
  readonly failure?: string;
  /** Tasks that run, or that have completed. */
  readonly ready: number;
  readonly wanted: number;
  readonly noun: "running" | "completed";
  readonly slots: readonly SlotProgress[];
  /** What the update says of itself. */
  readonly message: string;
}

const GOING = ["updating", "rollback_started"];
const WANTED = ["running", "ready", "accepted"];
const ENDED = ["complete", "failed", "rejected", "shutdown", "orphaned", "remove"];

const stateOf = (task: Row): string => textOf(inner(task, "Status")["State"]);
const isWanted = (task: Row): boolean => WANTED.includes(textOf(task["DesiredState"]));
const errorOf = (task: Row | undefined): string => textOf(inner(task, "Status")["Err"]);

/** Tasks by slot (or node), newest first. A job's slots begin with 0, which the API leaves out. */
function bySlot(tasks: readonly Row[], isReplicatedJob: boolean): Map<string, Row[]> {
  const slots = new Map<string, Row[]>();
  const newestFirst = [...tasks].sort((a, b) => textOf(b["CreatedAt"]).localeCompare(textOf(a["CreatedAt"])));
  for (const task of newestFirst) {
    const key = isReplicatedJob
      ? String(Number(task["Slot"] ?? 0) + 1)
      : textOf(task["Slot"] === undefined ? task["NodeID"] : task["Slot"]);
    slots.set(key, [...(slots.get(key) ?? []), task]);
  }
  return new Map([...slots].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true })));
}

function slotProgress(history: readonly Row[], label: string): SlotProgress {
  const [newest, before] = history;
  const state = newest === undefined ? "new" : stateOf(newest);
  const pending = state === "pending" ? textOf(inner(newest, "Status")["Message"]) : "";
  const error =
    errorOf(newest) ||
    (state === "running" || state === "complete" ? "" : errorOf(before)) ||
    (pending === "pending task scheduling" ? "" : pending);
  return { label, state, error };
}

/** @param options.rollback the service was asked to go back, so a finished rollback is what was wanted. */
export function convergenceOf(
  service: Row,
  tasks: readonly Row[],
  options: { readonly rollback: boolean },
): Convergence {
  const mode = inner(service, "Spec", "Mode");
  const slots = bySlot(
    tasks.filter((task) => isWanted(task) || ENDED.includes(stateOf(task))),
    mode["ReplicatedJob"] !== undefined,
  );
  const update = inner(service, "UpdateStatus");
  const updateState = textOf(update["State"]);
  const message = textOf(update["Message"]);
  const count = countsOf(service, tasks, slots);
  const isReplicated = mode["Global"] === undefined && mode["GlobalJob"] === undefined;
  const shown = [...slots].filter(
    ([key]) => !isReplicated || Number(key) <= count.wanted || count.noun === "completed",
  );
  const base = {
    ...count,
    message,
    slots: shown.map(([key, history]) =>
      slotProgress(history, isReplicated ? `${key}/${count.wanted}` : shortId(key)),
    ),
  };
  const failure = failureOf(updateState, message, options.rollback);
  if (failure !== undefined) return { ...base, done: false, failure };
  const enough = count.noun === "completed" ? count.ready >= count.wanted : count.ready === count.wanted;
  return { ...base, done: count.known && enough && !GOING.includes(updateState) };
}

interface Counts {
  readonly ready: number;
  readonly wanted: number;
  readonly noun: "running" | "completed";
  /** False while the number of tasks that should run is not known yet. */
  readonly known: boolean;
}

function countsOf(service: Row, tasks: readonly Row[], slots: ReadonlyMap<string, readonly Row[]>): Counts {
  const mode = inner(service, "Spec", "Mode");
  const running = tasks.filter((task) => stateOf(task) === "running" && isWanted(task)).length;
  const status = inner(service, "ServiceStatus");
  const job = mode["ReplicatedJob"];
  if (job !== undefined) {
    const { TotalCompletions, MaxConcurrent } = inner(mode, "ReplicatedJob");
    const wanted = Number(TotalCompletions ?? MaxConcurrent ?? 1);
    return { ready: Number(status["CompletedTasks"] ?? 0), wanted, noun: "completed", known: true };
  }
  if (mode["GlobalJob"] !== undefined) {
    const newest = [...slots.values()].map((history) => history[0]).filter((task) => task !== undefined);
    const complete = newest.filter((task) => stateOf(task) === "complete").length;
    return { ready: complete, wanted: newest.length, noun: "completed", known: newest.length > 0 };
  }
  if (mode["Global"] !== undefined) {
    const wanted = Number(status["DesiredTasks"] ?? 0);
    return { ready: running, wanted, noun: "running", known: wanted > 0 };
  }
  return {
    ready: running,
    wanted: Number(inner(mode, "Replicated")["Replicas"] ?? 1),
    noun: "running",
    known: true,
  };
}

function failureOf(updateState: string, message: string, rollback: boolean): string | undefined {
  switch (updateState) {
    case "paused":
      return `service update paused: ${message}`;
    case "rollback_paused":
      return `service rollback paused: ${message}`;
    case "rollback_completed":
      return rollback ? undefined : `service rolled back: ${message}`;
    default:
      return undefined;
  }
}
