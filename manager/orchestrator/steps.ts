/**
 * What the orchestrator may do to the store, as data, and how each kind is carried out in a transaction.
 * Pure. Invariants: each step is atomic and checks again that it is still called for,
 * so that running it twice, or on a newer state than it was planned on, does no harm;
 * a task's desired state never decreases, and the first reason to stop it stays.
 */
import type { Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { type JobStatus, TaskPhase, TaskState, type UpdateStatus } from "../../proto/gen/skein/v1/types.js";
import { describeSpecChange } from "../control/spec-change.js";
import type { WriteTx } from "../store/types.js";
import { withPhase, withWait, withWaitsOver } from "./task-account.js";
import { isTerminal, isUnassigned, isWanted, stateRank } from "./task-state.js";

/** What the orchestrator itself makes a task wait for; the causes of its entries in `Task.waits`. */
export const WAIT_CAUSES = ["predecessor", "restart-delay", "drain", "node"] as const;
export type WaitCause = (typeof WAIT_CAUSES)[number];

/** The specification a status was judged on: another one since makes the judgement void. */
interface Judged {
  readonly serviceId: string;
  readonly specVersionIndex: number;
}

export interface StepArgs {
  /** A new task in a slot that has none, or beside one that serves until the new one does. */
  readonly create: { readonly task: Task };
  /** The old task is told to stop and its successor made, in one transaction: a slot never loses both. */
  readonly replace: {
    readonly oldTaskId: string;
    readonly task: Task;
    readonly because: string;
    readonly nowMs: number;
  };
  /** @param because why it is to stop; not stored for a task that is to start. */
  readonly desire: {
    readonly taskId: string;
    readonly state: TaskState;
    readonly because: string;
    readonly nowMs: number;
  };
  /** The task waits for this, or, without words, for this no longer. */
  readonly wait: {
    readonly taskId: string;
    readonly cause: WaitCause;
    readonly message: string;
    readonly nowMs: number;
  };
  /** The node will not speak for the task any more. */
  readonly orphan: { readonly taskId: string; readonly message: string; readonly nowMs: number };
  readonly removeTask: { readonly taskId: string };
  readonly removeService: { readonly serviceId: string };
  readonly updateStatus: Judged & { readonly status: UpdateStatus };
  /** Back to the previous specification, with the status that says why. */
  readonly rollback: Judged & { readonly status: UpdateStatus };
  readonly jobStatus: Judged & { readonly status: JobStatus };
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

function updateService(tx: WriteTx, judged: Judged, change: (service: Service) => Service): void {
  const service = tx.get("service", judged.serviceId);
  if (service === undefined || (service.specVersion?.index ?? 0) !== judged.specVersionIndex) return;
  const changed = change(service);
  if (changed !== service) tx.update("service", changed);
}

function desire(tx: WriteTx, { taskId, state, because, nowMs }: StepArgs["desire"]): void {
  const task = tx.get("task", taskId);
  if (task === undefined || stateRank(task.desiredState) >= stateRank(state)) return;
  const stops = stateRank(state) >= stateRank(TaskState.SHUTDOWN);
  const { status } = task;
  tx.update("task", {
    ...task,
    desiredState: state,
    waits: withWaitsOver(task.waits, { causes: WAIT_CAUSES, nowMs }),
    stoppedBecause: stops ? task.stoppedBecause || because : task.stoppedBecause,
    status: stops && status && !isTerminal(task) ? withPhase(status, TaskPhase.STOPPING, nowMs) : status,
  });
}

const EXECUTORS: Executors = {
  create: (tx, { task }) => {
    if (isStillAsked(tx, task)) tx.create("task", task);
  },
  replace: (tx, { oldTaskId, task, because, nowMs }) => {
    if (!isStillAsked(tx, task)) return;
    const old = tx.get("task", oldTaskId);
    if (old !== undefined && !isWanted(old)) return;
    desire(tx, { taskId: oldTaskId, state: TaskState.SHUTDOWN, because, nowMs });
    tx.create("task", task);
  },
  desire,
  wait: (tx, { taskId, cause, message, nowMs }) => {
    const task = tx.get("task", taskId);
    if (task === undefined || !isWanted(task)) return;
    const waits =
      message === ""
        ? withWaitsOver(task.waits, { causes: [cause], nowMs })
        : withWait(task.waits, { cause, message, sinceMs: nowMs });
    if (waits !== task.waits) tx.update("task", { ...task, waits });
  },
  orphan: (tx, { taskId, message, nowMs }) => {
    const task = tx.get("task", taskId);
    if (task?.status === undefined || isTerminal(task)) return;
    const status = {
      ...withPhase(task.status, TaskPhase.ENDED, nowMs),
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
  updateStatus: (tx, step) =>
    updateService(tx, step, (service) => ({ ...service, updateStatus: step.status })),
  rollback: (tx, step) =>
    updateService(tx, step, (service) => {
      if (service.previousSpec === undefined) return service;
      return {
        ...service,
        spec: service.previousSpec,
        specVersion: { index: 0 }, // the store puts the entry's index here
        specChange: describeSpecChange(service.spec, service.previousSpec),
        previousSpec: undefined,
        previousSpecVersion: undefined,
        updateStatus: step.status,
      };
    }),
  jobStatus: (tx, step) => updateService(tx, step, (service) => ({ ...service, jobStatus: step.status })),
};

/** Carries one step out in a transaction. */
export function executeStep(tx: WriteTx, step: Step): void {
  // the mapped type pairs kind and arguments
  const execute = EXECUTORS[step.kind] as (tx: WriteTx, args: Step) => void;
  execute(tx, step);
}
