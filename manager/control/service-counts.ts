/**
 * How many tasks of a service run, how many should, how many have completed: the REPLICAS column.
 * Pure. Invariant: a task on a node that is down does not count as running, whatever was last heard of it.
 */
import type { ServiceCounts } from "../../proto/gen/skein/v1/control.js";
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { isTerminal, isWanted, observedState } from "../orchestrator/task-state.js";

export interface CountOptions {
  readonly tasks: readonly Task[];
  readonly node: (id: string) => Node | undefined;
}

export function countTasks(service: Service, { tasks, node }: CountOptions): ServiceCounts {
  const mode = service.spec?.mode;
  const iteration = service.jobStatus?.iteration ?? 0;
  const isJob = mode?.$case === "replicatedJob" || mode?.$case === "globalJob";
  const own = isJob ? tasks.filter((task) => task.jobIteration === iteration) : tasks;
  const runs = (task: Task): boolean =>
    observedState(task) === TaskState.RUNNING &&
    isWanted(task) &&
    node(task.nodeId)?.status?.state !== NodeState.DOWN;
  const running = own.filter(runs).length;
  const completed = isJob ? own.filter((task) => observedState(task) === TaskState.COMPLETE).length : 0;
  const waiting = own.filter((task) => isWanted(task) && !isTerminal(task)).length;
  switch (mode?.$case) {
    case "replicated":
      return { running, desired: mode.value.replicas, completed };
    case "replicatedJob":
      return {
        running,
        completed,
        desired: Math.min(mode.value.maxConcurrent, mode.value.totalCompletions - completed),
      };
    default:
      return { running, desired: waiting, completed };
  }
}
