/**
 * What the Engine API, and so `docker service ps`, shows as a task's error: the stored words of the node or
 * the control loops, and where those are silent about something out of the ordinary, our own.
 * Pure. Invariant: a task that runs as it should, or was stopped by what a user did to its service, has none.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { isTerminal, isWanted, observedState } from "../orchestrator/task-state.js";
import { formatBytes } from "../scheduler/room-filters.js";
import { hostOf } from "./cause-view.js";
import { signalOf } from "./signal-names.js";

/** Stops that nobody asked for of this service: a drain, a lost node, a failed update, a slot put right. */
const TOLD_STOPS: ReadonlySet<string> = new Set(["node", "rollback", "repair"]);
/** Failures in a row from which a waiting task says when it is tried again. */
const TOLD_FAILURES_MIN = 2;

/** @returns the task as the API shows it; the same task when its own words do. */
export function withShownStatus(task: Task, node: (id: string) => Node | undefined): Task {
  const { status } = task;
  if (status === undefined) return task;
  const err = shownErr(task, node(task.nodeId));
  return err === status.err ? task : { ...task, status: { ...status, err } };
}

function shownErr(task: Task, node: Node | undefined): string {
  const err = task.status?.err ?? "";
  if (isTerminal(task)) return err === "" ? stopErr(task) : endErr(task, err);
  if (err !== "") return err;
  if (task.nodeId !== "" && node?.status?.state === NodeState.DOWN)
    return `${hostOf(node, task.nodeId)} is down${isWanted(task) ? "" : ": whether it runs there is not known"}`;
  const held = task.waits.findLast(({ cause, untilMs }) => cause === "restart-delay" && untilMs === 0);
  return held !== undefined && isWanted(task) && task.quickFailures >= TOLD_FAILURES_MIN ? held.message : "";
}

function stopErr(task: Task): string {
  if (observedState(task) !== TaskState.SHUTDOWN) return "";
  const [kind = ""] = task.stoppedBecause.split(":", 1);
  if (!TOLD_STOPS.has(kind)) return "";
  return kind === "rollback" ? task.stoppedBecause : task.stoppedBecause.slice(kind.length + 2);
}

/** The node's words, with what only the specification or a table knows. */
function endErr(task: Task, err: string): string {
  const { container, cause } = task.status ?? {};
  const limit = task.spec?.resources?.limits?.memoryBytes ?? 0;
  if (cause === "oom" && limit > 0) return `${err}; its limit is ${formatBytes(limit)}`;
  const signal = container?.exitCode === undefined ? undefined : signalOf(container.exitCode);
  return cause === "exit-nonzero" && signal !== undefined ? `${err}: ${signal}` : err;
}
