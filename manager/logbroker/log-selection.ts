/**
 * The tasks whose logs a selector means. Pure.
 */
import { InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { LogSelector } from "../../proto/gen/skein/v1/logs.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState, taskStateToNumber } from "../../proto/gen/skein/v1/types.js";
import type { ReadTx } from "../store/types.js";
import type { RemovedTasks } from "./removed-tasks.js";

function mayHaveLogs(task: Task): boolean {
  const state = taskStateToNumber(task.status?.state ?? TaskState.NEW);
  return task.nodeId !== "" && state >= taskStateToNumber(TaskState.ASSIGNED);
}

/** Whether a task that has changed is one of them, and may have logs. */
export function isSelected(task: Task, { serviceIds, taskIds }: LogSelector): boolean {
  return (serviceIds.includes(task.serviceId) || taskIds.includes(task.id)) && mayHaveLogs(task);
}

/**
 * @param options.removed tasks that are gone and may have left logs
 * @returns assigned tasks only, in order of id.
 * @throws {NotFoundError} when `strict` and a service or task does not exist;
 * {InvalidArgumentError} nothing is named.
 */
export function selectedTasks(
  view: ReadTx,
  selector: LogSelector,
  options: { strict: boolean; removed: Pick<RemovedTasks, "get" | "ofService"> },
): readonly Task[] {
  if (selector.serviceIds.length + selector.taskIds.length === 0) {
    throw new InvalidArgumentError("logs need at least one service or task");
  }
  const tasks = new Map<string, Task>();
  for (const serviceId of selector.serviceIds) {
    const gone = options.removed.ofService(serviceId);
    if (options.strict && gone.length === 0 && view.get("service", serviceId) === undefined)
      throw new NotFoundError(`service ${serviceId} not found`);
    for (const task of gone) tasks.set(task.id, task);
    for (const task of view.list("task", { by: "serviceId", serviceId })) tasks.set(task.id, task);
  }
  for (const taskId of selector.taskIds) {
    const task = view.get("task", taskId) ?? options.removed.get(taskId);
    if (task !== undefined) tasks.set(taskId, task);
    else if (options.strict) throw new NotFoundError(`task ${taskId} not found`);
  }
  return [...tasks.values()].filter(mayHaveLogs).sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Tasks that still stop while their service, by id or name, is gone already; oldest first. */
export function tasksOfRemovedService(view: ReadTx, reference: string): readonly Task[] {
  return view
    .list("task")
    .filter((task) => task.serviceId === reference || task.serviceAnnotations?.name === reference)
    .filter((task) => task.nodeId !== "" && view.get("service", task.serviceId) === undefined)
    .sort((a, b) => (a.meta?.createdAtMs ?? 0) - (b.meta?.createdAtMs ?? 0));
}
