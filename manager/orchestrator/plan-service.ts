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
import { planReplicated } from "./plan-replicated.js";
import { PlanBuilder, type PlanInput, type ServicePlan } from "./service-plan.js";
import type { Step } from "./steps.js";

export function planService(input: PlanInput): ServicePlan {
  const orphans = planOrphans(input);
  const { service } = input;
  const steps: Step[] = [...orphans.steps, ...planRemoved(input)];
  if (service === undefined || service.pendingDelete) {
    return { steps: [...steps, ...planRemoval(input)], wakeAtMs: orphans.wakeAtMs };
  }
  const plan = new PlanBuilder(input, service);
  plan.steps.push(...steps);
  if (orphans.wakeAtMs !== undefined) plan.wakeAt(orphans.wakeAtMs);
  const mode = service.spec?.mode;
  switch (mode?.$case) {
    case "replicated":
      planHistory(plan, planReplicated(plan, mode.value.replicas));
      break;
    case "global":
      planHistory(plan, planGlobal(plan));
      break;
    case "replicatedJob":
    case "globalJob":
      planJob(plan, mode);
      break;
    case undefined:
      break;
  }
  return plan.finish();
}

function planRemoval(input: PlanInput): readonly Step[] {
  const steps: Step[] = input.tasks
    .filter((task) => task.desiredState !== TaskState.REMOVE)
    .map((task) => ({ kind: "desire", taskId: task.id, state: TaskState.REMOVE }));
  if (input.service !== undefined && input.tasks.length === 0) {
    steps.push({ kind: "removeService", serviceId: input.serviceId });
  }
  return steps;
}
