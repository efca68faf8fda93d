/**
 * Jobs: tasks that run to completion. Replicated jobs fill `totalCompletions` slots,
 * at most `maxConcurrent` at a time; global jobs run once on every node that takes the service. An iteration
 * is one execution of the specification: a new specification, or a forced update, starts the next one and
 * removes the tasks of the one before. Slots of a replicated job are numbered from 0.
 * Pure. Source: Docker's replicated-job and global-job modes.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, type ServiceSpec, TaskState } from "../../proto/gen/skein/v1/types.js";
import { endOf } from "./cause.js";
import { takesGlobal } from "./plan-global.js";
import { planHistory } from "./plan-reap.js";
import { mayRestart, restartDelayMs } from "./restart-policy.js";
import type { PlanBuilder } from "./service-plan.js";
import { groupBySlot, lostBecause, makeSlot } from "./slot.js";
import { isDirty } from "./spec-equality.js";
import { isStranded, isWaitedFor } from "./stranded.js";
import { createdAtMs, isTerminal, isWanted, newestFirst, observedState } from "./task-state.js";

type JobMode = Extract<ServiceSpec["mode"], { $case: "replicatedJob" | "globalJob" }>;

export function planJob(plan: PlanBuilder, mode: JobMode): void {
  const { input, service } = plan;
  const iteration = service.jobStatus?.iteration ?? 0;
  const outdated = (task: Task): boolean => isDirty(task, service, input.node(task.nodeId));
  if (input.tasks.some((task) => task.jobIteration === iteration && outdated(task))) {
    const status = { iteration: iteration + 1, lastExecutionMs: input.nowMs };
    plan.steps.push({ kind: "jobStatus", serviceId: service.id, status });
    return; // the next plan sees the new iteration
  }
  const current: Task[] = [];
  for (const task of input.tasks) {
    if (task.jobIteration === iteration) current.push(task);
    else plan.desire(task, TaskState.REMOVE);
  }
  if (mode.$case === "replicatedJob") planReplicatedJob(plan, current, mode.value);
  else planGlobalJob(plan, current);
  const keyOf = (task: Task): number | string => (mode.$case === "globalJob" ? task.nodeId : task.slot);
  const slots = [...groupBySlot(current, keyOf)].map(([key, tasks]) =>
    makeSlot(key, tasks, service, input.node),
  );
  planHistory(plan, slots);
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
  if (isWanted(newest) && !isTerminal(newest) && lost === undefined) {
    startWhenDue(plan, newest);
    return { state: "busy", newest };
  }
  if (lost !== undefined && isWanted(newest) && isStranded(plan, newest)) return { state: "busy", newest };
  if (!isWanted(newest) || !mayRestart(newest, sorted)) {
    plan.desire(newest, TaskState.SHUTDOWN);
    return { state: "failed", newest };
  }
  const delayMs = lost === undefined ? restartDelayMs(newest) : 0;
  plan.replace(newest, {
    nodeId: plan.service.spec?.mode?.$case === "globalJob" ? newest.nodeId : "",
    kind: lost === undefined ? "restart" : "node",
    detail: lost ?? endOf(newest),
    jobIteration: newest.jobIteration,
    desiredState: delayMs > 0 ? TaskState.READY : TaskState.COMPLETE,
  });
  return { state: "busy", newest };
}

function startWhenDue(plan: PlanBuilder, task: Task): void {
  if (task.desiredState !== TaskState.READY) return;
  const dueMs = createdAtMs(task) + restartDelayMs(task);
  if (plan.input.nowMs < dueMs) plan.wakeAt(dueMs);
  else plan.desire(task, TaskState.COMPLETE);
}

function planReplicatedJob(
  plan: PlanBuilder,
  tasks: readonly Task[],
  mode: { readonly maxConcurrent: number; readonly totalCompletions: number },
): void {
  const groups = groupBySlot(tasks, (task) => task.slot);
  const total = mode.totalCompletions || mode.maxConcurrent || 1;
  const concurrent = mode.maxConcurrent || total;
  // From 0, unlike the slots of a service: the docker CLI counts a job's completions by these numbers.
  const states = Array.from({ length: total }, (_, slot) => ({
    slot,
    ...judge(plan, groups.get(slot) ?? []),
  }));
  let room = concurrent - states.filter((slot) => slot.state === "busy").length;
  for (const { slot, state } of states) {
    if (room <= 0) break;
    if (state !== "free") continue;
    create(plan, { slot, nodeId: "" });
    room--;
  }
}

function planGlobalJob(plan: PlanBuilder, tasks: readonly Task[]): void {
  const groups = groupBySlot(tasks, (task) => task.nodeId);
  for (const node of plan.input.nodes) {
    const own = groups.get(node.id) ?? [];
    if (own.length === 0) {
      const active = node.spec?.availability === NodeAvailability.ACTIVE;
      if (active && takesGlobal(node, plan)) create(plan, { slot: 0, nodeId: node.id });
    } else if (takesGlobal(node, plan)) judge(plan, own);
    else if (!isWaitedFor(plan, node))
      for (const task of own) if (isWanted(task) && !isTerminal(task)) plan.desire(task, TaskState.SHUTDOWN);
  }
}

function create(plan: PlanBuilder, where: { slot: number; nodeId: string }): void {
  const jobIteration = plan.service.jobStatus?.iteration ?? 0;
  plan.create({
    ...where,
    kind: "job",
    detail: `iteration ${jobIteration}`,
    jobIteration,
    desiredState: TaskState.COMPLETE,
  });
}
