/**
 * Jobs: tasks that run to completion. Replicated jobs fill `totalCompletions` slots,
 * at most `maxConcurrent` at a time; global jobs run once on every node that takes the service. An iteration
 * is one execution of the specification: a new specification, or a forced update, starts the next one and
 * removes the tasks of the one before. Slots of a replicated job are numbered from 0. What runs on a drained
 * node may finish there until the drain's deadline.
 * Pure. Source: Docker's replicated-job and global-job modes; finishing during a drain is Nomad's idea.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import {
  NodeAvailability,
  NodeState,
  type ServiceSpec,
  TaskState,
  UpdateState,
} from "../../proto/gen/skein/v1/types.js";
import { endOf } from "./cause.js";
import { drainEndsAtMs, holdUntilDeadline, isBeforeItsTime, isDrained, startWhenDue } from "./hand-over.js";
import { refusedBecause, takesGlobal } from "./plan-global.js";
import { planHistory } from "./plan-reap.js";
import { PORTION_SLOTS } from "./plan-replicated.js";
import { mayRestart } from "./restart-policy.js";
import { nodeName, type PlanBuilder } from "./service-plan.js";
import { groupInPortions, lostBecause, makeSlot, type Slot } from "./slot.js";
import { isDirty } from "./spec-equality.js";
import { isStranded, isWaitedFor } from "./stranded.js";
import { isRunning, isTerminal, isWanted, newestFirst, observedState } from "./task-state.js";

type JobMode = Extract<ServiceSpec["mode"], { $case: "replicatedJob" | "globalJob" }>;

export function* planJob(plan: PlanBuilder, mode: JobMode): Generator<void, void> {
  const { input, service } = plan;
  finishRollback(plan);
  const iteration = service.jobStatus?.iteration ?? 0;
  const outdated = (task: Task): boolean => isDirty(task, service, input.node(task.nodeId));
  if (input.tasks.some((task) => task.jobIteration === iteration && outdated(task))) {
    const status = { iteration: iteration + 1, lastExecutionMs: input.nowMs };
    plan.steps.push({ kind: "jobStatus", ...plan.judged, status });
    return; // the next plan sees the new iteration
  }
  const current: Task[] = [];
  const why = { kind: "job", detail: `iteration ${iteration} begins` } as const;
  for (const task of input.tasks) {
    if (task.jobIteration === iteration) current.push(task);
    else plan.stop(task, why, TaskState.REMOVE);
  }
  yield;
  if (mode.$case === "replicatedJob") yield* planReplicatedJob(plan, current, mode.value);
  else yield* planGlobalJob(plan, current);
  const keyOf = (task: Task): number | string => (mode.$case === "globalJob" ? task.nodeId : task.slot);
  const slots: Slot[] = [];
  for (const [key, tasks] of yield* groupInPortions(current, keyOf)) {
    slots.push(makeSlot(key, tasks, service, input.node));
    if (slots.length % PORTION_SLOTS === 0) yield;
  }
  planHistory(plan, slots);
}

/** A job has no tasks to update one by one: it went back as soon as the next iteration began. */
function finishRollback(plan: PlanBuilder): void {
  const status = plan.service.updateStatus;
  if (status?.state !== UpdateState.ROLLBACK_STARTED) return;
  plan.steps.push({
    kind: "updateStatus",
    ...plan.judged,
    status: {
      ...status,
      state: UpdateState.ROLLBACK_COMPLETED,
      completedAtMs: plan.input.nowMs,
      message: "rollback completed",
    },
  });
}

interface JobSlot {
  readonly state: "free" | "busy" | "done" | "failed";
  readonly newest: Task | undefined;
}

/** Judges one slot, and takes care of a task that ended without completing. */
function judge(plan: PlanBuilder, tasks: readonly Task[]): JobSlot {
  const sorted = newestFirst(tasks);
  const newest = sorted[0];
  if (sorted.some((task) => observedState(task) === TaskState.COMPLETE)) return { state: "done", newest };
  if (newest === undefined) return { state: "free", newest };
  const node = plan.input.node(newest.nodeId);
  const lost = newest.nodeId !== "" && !isTerminal(newest) ? lostBecause(newest.nodeId, node) : undefined;
  const nodeId = plan.service.spec?.mode?.$case === "globalJob" ? newest.nodeId : "";
  const { jobIteration } = newest;
  const [slotTasks, running] = [sorted, TaskState.COMPLETE];
  if (isWanted(newest) && !isTerminal(newest) && lost === undefined) {
    if (node !== undefined && isDrained(node)) moveAway(plan, newest, { node, slotTasks });
    else startWhenDue(plan, sorted, { task: newest, running: TaskState.COMPLETE });
    return { state: "busy", newest };
  }
  if (lost !== undefined && isWanted(newest) && isStranded(plan, newest)) return { state: "busy", newest };
  if (!isWanted(newest) || !mayRestart(newest, sorted)) {
    plan.stop(newest, { kind: "restart", detail: endOf(newest) });
    return { state: "failed", newest };
  }
  if (lost === undefined && isBeforeItsTime(plan, newest)) return { state: "busy", newest };
  if (lost === undefined) plan.restart(newest, { nodeId, running, slotTasks, jobIteration });
  else {
    plan.replace(newest, {
      nodeId,
      slotTasks,
      kind: "node",
      detail: lost,
      jobIteration,
      desiredState: running,
    });
  }
  return { state: "busy", newest };
}

/** What runs may finish until the deadline; what has not begun begins elsewhere. */
function moveAway(
  plan: PlanBuilder,
  task: Task,
  { node, slotTasks }: { readonly node: Node; readonly slotTasks: readonly Task[] },
): void {
  if (isRunning(task) && plan.input.nowMs < drainEndsAtMs(plan, node)) {
    holdUntilDeadline(plan, task, undefined);
    return;
  }
  const why = { kind: "node", detail: `${nodeName(node)} is drained` } as const;
  if (plan.service.spec?.mode?.$case === "globalJob") plan.stop(task, why);
  else {
    const { jobIteration } = task;
    plan.replace(task, { ...why, slotTasks, jobIteration, desiredState: TaskState.COMPLETE });
  }
}

function* planReplicatedJob(
  plan: PlanBuilder,
  tasks: readonly Task[],
  mode: { readonly maxConcurrent: number; readonly totalCompletions: number },
): Generator<void, void> {
  const groups = yield* groupInPortions(tasks, (task) => task.slot);
  const total = mode.totalCompletions || mode.maxConcurrent || 1;
  const concurrent = mode.maxConcurrent || total;
  // From 0, unlike the slots of a service: the docker CLI counts a job's completions by these numbers.
  const free: number[] = [];
  let room = concurrent;
  for (let slot = 0; slot < total; slot++) {
    const { state } = judge(plan, groups.get(slot) ?? []);
    if (state === "busy") room--;
    else if (state === "free") free.push(slot);
    if (slot % PORTION_SLOTS === 0) yield;
  }
  for (const [at, slot] of free.slice(0, Math.max(0, room)).entries()) {
    create(plan, { slot, nodeId: "" });
    if (at % PORTION_SLOTS === 0) yield;
  }
}

function* planGlobalJob(plan: PlanBuilder, tasks: readonly Task[]): Generator<void, void> {
  const groups = yield* groupInPortions(tasks, (task) => task.nodeId);
  for (const [at, node] of plan.input.nodes.entries()) {
    if (at % PORTION_SLOTS === 0) yield;
    const own = groups.get(node.id) ?? [];
    if (own.length === 0) {
      const active = node.spec?.availability === NodeAvailability.ACTIVE;
      if (active && takesGlobal(node, plan)) create(plan, { slot: 0, nodeId: node.id });
    } else if (takesGlobal(node, plan)) judge(plan, own);
    else if (!isWaitedFor(plan, node)) leave(plan, node, own);
  }
}

function leave(plan: PlanBuilder, node: Node, tasks: readonly Task[]): void {
  for (const task of tasks) {
    if (!isWanted(task) || isTerminal(task)) continue;
    if (isDrained(node) && node.status?.state !== NodeState.DOWN)
      moveAway(plan, task, { node, slotTasks: tasks });
    else plan.stop(task, { kind: "node", detail: refusedBecause(node) });
  }
}

function create(plan: PlanBuilder, where: { slot: number; nodeId: string }): void {
  const jobIteration = plan.service.jobStatus?.iteration ?? 0;
  const { specChange } = plan.service;
  plan.create({
    ...where,
    kind: "job",
    detail: `iteration ${jobIteration}${specChange.startsWith("stack ") ? `: ${specChange}` : ""}`,
    jobIteration,
    desiredState: TaskState.COMPLETE,
  });
}
