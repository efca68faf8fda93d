/**
 * Why a task of a service does not run, in one short sentence; "" where all do, or are on their way.
 * Pure.
 */
import type { Node, Task } from "../../../proto/gen/skein/v1/objects.js";
import { withShownStatus } from "../../causes/shown-status.js";
import { isRunning, isTerminal, isWanted, newestFirst } from "../../orchestrator/task-state.js";

const LENGTH_MAX = 200;

/** @param tasks of one service. */
export function serviceTrouble(
  serviceName: string,
  tasks: readonly Task[],
  node: (id: string) => Node | undefined,
): string {
  const waiting = tasks.filter((task) => isWanted(task) && !isTerminal(task) && !isRunning(task));
  if (waiting.length === 0) return "";
  const troubles = waiting.flatMap((task) => {
    const words = ownTrouble(task, node) || formerTrouble(task, tasks, node);
    if (words === "") return [];
    const host = node(task.nodeId)?.description?.hostname || task.nodeId;
    return [`${serviceName}.${task.slot || host}: ${words}`];
  });
  const [first] = troubles.sort();
  if (first === undefined) return "";
  const text = troubles.length === 1 ? first : `${first} (and ${troubles.length - 1} more)`;
  return text.length <= LENGTH_MAX ? text : `${text.slice(0, LENGTH_MAX - 1)}…`;
}

function ownTrouble(task: Task, node: (id: string) => Node | undefined): string {
  const err = withShownStatus(task, node).status?.err ?? "";
  return err || (task.waits.findLast(({ untilMs }) => untilMs === 0)?.message ?? "");
}

/** Why the task before it in its slot ended: that is what keeps it from running. */
function formerTrouble(task: Task, tasks: readonly Task[], node: (id: string) => Node | undefined): string {
  const former = newestFirst(
    tasks.filter(
      (other) =>
        other.id !== task.id &&
        other.slot === task.slot &&
        (task.slot > 0 || other.nodeId === task.nodeId) &&
        (other.status?.err ?? "") !== "",
    ),
  )[0];
  return former === undefined ? "" : (withShownStatus(former, node).status?.err ?? "");
}
