/**
 * The task whose container a person means: by container, by task, or as tasks are called. Pure.
 * Order: task id, `service.slot[.task]` (for a global service its node's id or hostname stands for the slot),
 * container id, then beginnings of either id that fit one task only. Of the tasks of a slot the one that runs
 * counts, else the newest that has a container.
 */
import { FailedPreconditionError, InvalidArgumentError, NotFoundError } from "../../base/errors/errors.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type { ContainerPlace } from "../../proto/gen/skein/v1/reach.js";
import { TaskState, taskStateToNumber } from "../../proto/gen/skein/v1/types.js";
import { isAttachment } from "../attachments/attachment-task.js";
import type { ReadTx } from "../store/types.js";
import { shortTaskName } from "./short-task-name.js";

/** Docker's least for a beginning of an id would be one character; a task is not meant by so little. */
const PREFIX_CHARACTERS_MIN = 4;

/**
 * @throws {NotFoundError} no such container; {FailedPreconditionError} the task has none;
 * {InvalidArgumentError} several fit.
 */
export function findContainer(view: ReadTx, name: string): ContainerPlace {
  const reference = name.startsWith("/") ? name.slice(1) : name;
  const task = taskOf(view, reference);
  if (task === undefined) throw new NotFoundError(`No such container: ${name}`);
  const containerId = containerIdOf(task);
  if (containerId === "" || task.nodeId === "") throw new FailedPreconditionError(withoutContainer(task));
  const node = view.get("node", task.nodeId);
  return {
    nodeId: task.nodeId,
    hostname: node?.description?.hostname || task.nodeId,
    taskId: task.id,
    taskName: shortTaskName(task),
    containerId,
  };
}

function taskOf(view: ReadTx, reference: string): Task | undefined {
  if (reference === "") return undefined;
  const byId = view.get("task", reference);
  if (byId !== undefined) return byId;
  const byName = taskByName(view, reference);
  if (byName !== undefined) return byName;
  if (reference.length < PREFIX_CHARACTERS_MIN) return undefined;
  const ofTask = view
    .list("task", { by: "idPrefix", prefix: reference })
    .filter((task) => !isAttachment(task));
  const ofContainer = /^[0-9a-f]{1,64}$/.test(reference)
    ? view.list("task").filter((task) => containerIdOf(task).startsWith(reference))
    : [];
  const found = [...new Set([...ofTask, ...ofContainer])];
  if (found.length > 1)
    throw new InvalidArgumentError(`Multiple IDs found with provided prefix: ${reference}`);
  return found[0];
}

/** Names of services hold no dot, so the first one ends it; hostnames may hold some. */
function taskByName(view: ReadTx, reference: string): Task | undefined {
  const dot = reference.indexOf(".");
  if (dot <= 0) return undefined;
  const [service] = view.list("service", { by: "name", name: reference.slice(0, dot) });
  const rest = reference.slice(dot + 1);
  if (service === undefined || rest === "") return undefined;
  const [place = "", taskId] = rest.split(".");
  if (taskId !== undefined) {
    const task = view.get("task", taskId);
    const isMeant = task?.serviceId === service.id && (String(task.slot) === place || task.nodeId === place);
    if (isMeant) return task;
  }
  const tasks = view.list("task", { by: "serviceId", serviceId: service.id });
  const isThere = (task: Task): boolean =>
    (taskId === undefined && (String(task.slot) === place || (task.slot === 0 && task.nodeId === place))) ||
    (task.slot === 0 && view.get("node", task.nodeId)?.description?.hostname === rest);
  return [...tasks].filter(isThere).sort(byUse)[0];
}

/** First the one that runs, then those with a container, the newer before the older. */
function byUse(a: Task, b: Task): number {
  const worth = (task: Task): number =>
    task.status?.state === TaskState.RUNNING ? 2 : containerIdOf(task) === "" ? 0 : 1;
  return worth(b) - worth(a) || (b.meta?.createdAtMs ?? 0) - (a.meta?.createdAtMs ?? 0);
}

function containerIdOf(task: Task): string {
  return task.status?.container?.containerId ?? "";
}

function withoutContainer(task: Task): string {
  const state = task.status?.state ?? TaskState.NEW;
  const short = state.replace(/^TASK_STATE_/, "").toLowerCase();
  const why = task.status?.err || task.status?.message || "";
  const over = taskStateToNumber(state) > taskStateToNumber(TaskState.RUNNING);
  const what = `task ${shortTaskName(task)} has no container${over ? "" : " yet"}`;
  return `${what}: it is ${short}${why === "" ? "" : ` (${why})`}`;
}
