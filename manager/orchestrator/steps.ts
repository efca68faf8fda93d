/**
 * What the orchestrator may do to the store, as data, and how each kind is carried out in a transaction.
 * Pure. Invariants: each step is atomic and checks again that it is still called for,
 * so that running it twice, or on a newer state than it was planned on, does no harm;
 * a task's desired state never decreases.
 */
import type { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { type JobStatus, TaskState, type UpdateStatus } from "../../proto/gen/skein/v1/types.js";
import type { WriteTx } from "../store/types.js";
import { isTerminal, isUnassigned, isWanted, stateRank } from "./task-state.js";

export interface StepArgs {
  /** A new task in a slot that has none. */
  readonly create: { readonly task: Task };
  /** The old task is told to stop and its successor made, in one transaction: a slot never loses both. */
  readonly replace: { readonly oldTaskId: string; readonly task: Task };
  readonly desire: { readonly taskId: string; readonly state: TaskState };
  /** The node will not speak for the task any more. */
  readonly orphan: { readonly taskId: string; readonly message: string; readonly nowMs: number };
  readonly removeTask: { readonly taskId: string };
  readonly removeService: { readonly serviceId: string };
  readonly updateStatus: { readonly serviceId: string; readonly status: UpdateStatus };
  /** Back to the previous specification, with the status that says why. */
  readonly rollback: { readonly serviceId: string; readonly status: UpdateStatus };
  readonly jobStatus: { readonly serviceId: string; readonly status: JobStatus };
}

export type StepKind = keyof StepArgs;
export type Step = { [K in StepKind]: { readonly kind: K } & StepArgs[K] }[StepKind];
export type Executors = { readonly [K in StepKind]: (tx: WriteTx, step: StepArgs[K]) => void };

/** The service a new task belongs to still exists and still asks for the specification the plan saw. */
function isStillAsked(tx: WriteTx, task: Task): boolean {
  const service = tx.get("service", task.serviceId);
  return (
    service !== undefined &&
    !service.pendingDelete &&
    (service.specVersion?.index ?? 0) === (task.specVersion?.index ?? 0) &&
    tx.get("task", task.id) === undefined
  );
}

function updateService(tx: WriteTx, serviceId: string, change: (service: Service) => Service): void {
  const service = tx.get("service", serviceId);
  if (service !== undefined) tx.update("service", change(service));
}

function desire(tx: WriteTx, taskId: string, state: TaskState): boolean {
  const task = tx.get("task", taskId);
  if (task === undefined || stateRank(task.desiredState) >= stateRank(state)) return false;
  tx.update("task", { ...task, desiredState: state });
  return true;
}

const EXECUTORS: Executors = {
  create: (tx, { task }) => {
    if (isStillAsked(tx, task)) tx.create("task", task);
  },
  replace: (tx, { oldTaskId, task }) => {
    if (!isStillAsked(tx, task)) return;
    const old = tx.get("task", oldTaskId);
    if (old !== undefined && !isWanted(old)) return;
    desire(tx, oldTaskId, TaskState.SHUTDOWN);
    tx.create("task", task);
  },
  desire: (tx, { taskId, state }) => {
    desire(tx, taskId, state);
  },
  orphan: (tx, { taskId, message, nowMs }) => {
    const task = tx.get("task", taskId);
    if (task?.status === undefined || isTerminal(task)) return;
    const status = {
      ...task.status,
      state: TaskState.ORPHANED,
      timestampMs: nowMs,
      message,
      err: message,
      cause: "node-lost",
    };
    tx.update("task", { ...task, status });
  },
  removeTask: (tx, { taskId }) => {
    const task = tx.get("task", taskId);
    if (task === undefined || isWanted(task)) return;
    const nodeGone = task.nodeId !== "" && tx.get("node", task.nodeId) === undefined;
    if (isTerminal(task) || isUnassigned(task) || nodeGone) tx.remove("task", taskId);
  },
  removeService: (tx, { serviceId }) => {
    if (tx.get("service", serviceId)?.pendingDelete !== true) return;
    if (tx.list("task", { by: "serviceId", serviceId }).length === 0) tx.remove("service", serviceId);
  },
  updateStatus: (tx, { serviceId, status }) =>
    updateService(tx, serviceId, (service) => ({ ...service, updateStatus: status })),
  rollback: (tx, { serviceId, status }) =>
    updateService(tx, serviceId, (service) => {
      if (service.previousSpec === undefined) return service;
      return {
        ...service,
        spec: service.previousSpec,
        specVersion: service.previousSpecVersion,
        previousSpec: undefined,
        previousSpecVersion: undefined,
        updateStatus: status,
      };
    }),
  jobStatus: (tx, { serviceId, status }) =>
    updateService(tx, serviceId, (service) => ({ ...service, jobStatus: status })),
};

/** Carries one step out in a transaction. */
export function executeStep(tx: WriteTx, step: Step): void {
  // the mapped type pairs kind and arguments
  const execute = EXECUTORS[step.kind] as (tx: WriteTx, args: Step) => void;
  execute(tx, step);
}
