/**
 * Tasks: listed with filters, and looked up. They are made by the orchestrator only.
 * Pure over the store.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type {
  IdRequest,
  ListTasksReply,
  ListTasksRequest,
  TaskReply,
} from "../../proto/gen/skein/v1/control.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { withShownStatus } from "../causes/shown-status.js";
import { isDirty } from "../orchestrator/spec-equality.js";
import type { ReadTx } from "../store/types.js";
import type { ControlComponents } from "./control-components.js";
import { findObject } from "./find-object.js";
import { matchesFilters } from "./list-filters.js";
import { withPullAuth } from "./spec-comparison.js";

/** `desired-state` filters as users write them. */
const DESIRED_STATES: Readonly<Record<string, TaskState>> = {
  accepted: TaskState.ACCEPTED,
  ready: TaskState.READY,
  running: TaskState.RUNNING,
  complete: TaskState.COMPLETE,
  shutdown: TaskState.SHUTDOWN,
  remove: TaskState.REMOVE,
};

export class TaskControl {
  readonly #components: ControlComponents;

  constructor(components: ControlComponents) {
    this.#components = components;
  }

  get(request: IdRequest): TaskReply {
    return this.#components.store.view((tx) => ({ task: shown(tx, findObject(tx, "task", request.id)) }));
  }

  list(request: ListTasksRequest): ListTasksReply {
    const states = request.desiredStates.map((text) => {
      const state = DESIRED_STATES[text.toLowerCase()];
      if (state === undefined) throw new InvalidArgumentError(`invalid filter 'desired-state=${text}'`);
      return state;
    });
    return this.#components.store.view((tx) => {
      const nodeIds = new Set(request.nodeIds.flatMap((reference) => idsOf(tx, "node", reference)));
      const tasks = candidates(tx, request).filter((task) => {
        const labels = { ...task.serviceAnnotations?.labels, ...task.spec?.container?.labels };
        return (
          (task.attached !== undefined) === (request.attachments ?? false) &&
          (request.nodeIds.length === 0 || nodeIds.has(task.nodeId)) &&
          (states.length === 0 || states.includes(task.desiredState)) &&
          matchesFilters(request.filters, { id: task.id, names: taskNames(task), labels }) &&
          (!request.upToDateOnly || isUpToDate(tx, task))
        );
      });
      return { tasks: tasks.map((task) => shown(tx, task)) };
    });
  }
}

/** service.slot.id, and for global services service.node.id, as containers are named; its own of an attachment. */
export function taskName(task: Task): string {
  if (task.attached !== undefined) return task.attached.name;
  return `${task.serviceAnnotations?.name ?? task.serviceId}.${task.slot === 0 ? task.nodeId : task.slot}.${task.id}`;
}

function taskNames(task: Task): readonly string[] {
  const full = taskName(task);
  if (task.attached !== undefined) return [full];
  return [full, full.slice(0, full.length - task.id.length - 1)];
}

/** Tasks of the services asked for, by index; else all. */
function candidates(tx: ReadTx, request: ListTasksRequest): readonly Task[] {
  if (request.serviceIds.length === 0) return tx.list("task");
  const ids = new Set(request.serviceIds.flatMap((reference) => idsOf(tx, "service", reference)));
  return [...ids].flatMap((serviceId) => tx.list("task", { by: "serviceId", serviceId }));
}

/** A filter that names nothing finds nothing; the id of a removed service still finds its tasks. */
function idsOf(tx: ReadTx, table: "service" | "node", reference: string): readonly string[] {
  if (tx.get(table, reference) !== undefined) return [reference];
  const byName = tx.list(table, { by: "name", name: reference });
  if (byName.length > 0) return byName.map(({ id }) => id);
  const byPrefix = tx.list(table, { by: "idPrefix", prefix: reference });
  return byPrefix.length > 0 ? byPrefix.map(({ id }) => id) : [reference];
}

/** Made from what its service asks for now: what progress bars count. */
function isUpToDate(tx: ReadTx, task: Task): boolean {
  const service = tx.get("service", task.serviceId);
  if (service === undefined) return false;
  const job = service.jobStatus;
  if (job !== undefined && task.jobIteration !== job.iteration) return false;
  return !isDirty(task, service, task.nodeId === "" ? undefined : tx.get("node", task.nodeId));
}

/** With the words that explain it, and without credentials. */
function shown(tx: ReadTx, task: Task): Task {
  const told = withShownStatus(task, (id) => (id === "" ? undefined : tx.get("node", id)));
  return { ...told, spec: withPullAuth(task.spec, "") };
}
