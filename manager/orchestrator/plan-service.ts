/**
 * The whole plan of one service: which tasks should be made, started, stopped and forgotten,
 * given everything known.
 * Pure. Invariant: planning again on the state that a plan's steps lead to gives no steps,
 * until time or the world moves.
 */
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { planGlobal } from "./plan-global.js";
import { planJob } from "./plan-job.js";
import { planHistory, planOrphans, planRemoved } from "./plan-reap.js";
import { PORTION_SLOTS, planReplicated } from "./plan-replicated.js";
import { planSlot } from "./plan-slot.js";
import { PlanBuilder, type PlanInput, type ServicePlan } from "./service-plan.js";
import { groupBySlot, makeSlot } from "./slot.js";
import type { Step } from "./steps.js";

export function planService(input: PlanInput): ServicePlan {
  const slices = planServiceInSlices(input);
  let slice = slices.next();
  while (!slice.done) slice = slices.next();
  return slice.value;
}

/** The same, with chances to pause: what it reads of the input may not change meanwhile. */
export function* planServiceInSlices(input: PlanInput): Generator<void, ServicePlan> {
  const orphans = planOrphans(input);
  yield;
  const { service } = input;
  const steps: Step[] = [...orphans.steps];
  for (const step of planRemoved(input)) steps.push(step);
  yield;
  if (service === undefined || service.pendingDelete) {
    yield* planRemoval(input, steps);
    return { steps, wakeAtMs: orphans.wakeAtMs, waitsForNodes: false };
  }
  const plan = new PlanBuilder(input, service);
  for (const step of steps) plan.steps.push(step);
  if (orphans.wakeAtMs !== undefined) plan.wakeAt(orphans.wakeAtMs);
  yield;
  const mode = service.spec?.mode;
  switch (mode?.$case) {
    case "replicated":
      planHistory(plan, yield* planReplicated(plan, mode.value.replicas));
      break;
    case "global":
      planHistory(plan, yield* planGlobal(plan));
      break;
    case "replicatedJob":
    case "globalJob":
      yield* planJob(plan, mode);
      break;
    case undefined:
      break;
  }
  return plan.finish();
}

/**
 * Some slots of a replicated service alone, when nothing but their tasks changed: its specification did
 * not, no
 * update is under way, and no task came or went.
 * @param input with the tasks of these slots only.
 * @returns undefined when the whole service must be planned: a task is of an older specification.
 */
export function planSlots(input: PlanInput): ServicePlan | undefined {
  const { service, tasks } = input;
  if (service === undefined) return undefined;
  const orphans = planOrphans(input);
  const plan = new PlanBuilder(input, service);
  for (const step of [...orphans.steps, ...planRemoved(input)]) plan.steps.push(step);
  if (orphans.wakeAtMs !== undefined) plan.wakeAt(orphans.wakeAtMs);
  const slots = [...groupBySlot(tasks, (task) => task.slot)].map(([key, own]) =>
    makeSlot(key, own, service, input.node),
  );
  if (slots.some(({ dirty }) => dirty.length > 0)) return undefined;
  for (const slot of slots) planSlot(plan, slot);
  planHistory(plan, slots);
  return plan.finish();
}

function* planRemoval(input: PlanInput, steps: Step[]): Generator<void, void> {
  const { nowMs } = input;
  const because = "removed: the service was removed";
  const state = TaskState.REMOVE;
  for (const [at, task] of input.tasks.entries()) {
    if (at % PORTION_SLOTS === PORTION_SLOTS - 1) yield;
    if (task.desiredState === TaskState.REMOVE) continue;
    steps.push({ kind: "desire", taskId: task.id, state, because, nowMs });
  }
  if (input.service !== undefined && input.tasks.length === 0) {
    steps.push({ kind: "removeService", serviceId: input.serviceId });
  }
}
