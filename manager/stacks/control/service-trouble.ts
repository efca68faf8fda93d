/**
 * Why a task of a service does not run, in one short sentence; "" where all do, or are on their way.
 * Pure. Invariant: what befell tasks of another specification is no trouble of this one.
 */
import type { Node, Service, Task } from "../../../proto/gen/skein/v1/objects.js";
import { withShownStatus } from "../../causes/shown-status.js";
import { isDirty } from "../../orchestrator/spec-equality.js";
import { isRunning, isTerminal, isWanted, newestFirst } from "../../orchestrator/task-state.js";

const LENGTH_MAX = 200;

/** @param tasks those of the service. */
export function serviceTrouble(
  service: Service,
  tasks: readonly Task[],
  node: (id: string) => Node | undefined,
): string {
  const waiting = tasks.filter((task) => isWanted(task) && !isTerminal(task) && !isRunning(task));
  if (waiting.length === 0) return "";
  const name = service.spec?.annotations?.name ?? service.id;
  const troubles = waiting.flatMap((task) => {
    const words = ownTrouble(task, node) || formerTrouble(task, { service, tasks, node });
    if (words === "") return [];
    const host = node(task.nodeId)?.description?.hostname || task.nodeId;
    return [`${name}.${task.slot || host}: ${words}`];
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
function formerTrouble(
  task: Task,
  of: {
    readonly service: Service;
    readonly tasks: readonly Task[];
    readonly node: (id: string) => Node | undefined;
  },
): string {
  const { service, tasks, node } = of;
  const former = newestFirst(
    tasks.filter(
      (other) =>
        other.id !== task.id &&
        other.slot === task.slot &&
        (task.slot > 0 || other.nodeId === task.nodeId) &&
        (other.status?.err ?? "") !== "",
    ),
  )[0];
  if (former === undefined || isDirty(former, service, node(former.nodeId))) return "";
  return withShownStatus(former, node).status?.err ?? "";
}
