/**
 * A stack that goes: its services, and when their tasks have stopped, what they used, then the stack
 * itself.
 * Pure. Invariant: what others use stays, and does not keep the stack.
 */
import type { Node, Task } from "../../../proto/gen/skein/v1/objects.js";
import { StackServiceProgress, StackServiceState } from "../../../proto/gen/skein/v1/stack_types.js";
import { NodeState } from "../../../proto/gen/skein/v1/types.js";
import { isTerminal, isUnassigned } from "../../orchestrator/task-state.js";
import type { ReadTx } from "../../store/types.js";
import { objectsOf } from "./leftovers.js";
import type { StackPlan, StackPlanBuilder } from "./stack-view.js";

/** Services removed in one transaction. */
const REMOVALS_MAX = 150;

export function planRemoval(plan: StackPlanBuilder): StackPlan {
  const { view, name } = plan;
  const { tx, stack } = view;
  const services = tx.list("service", { by: "stackName", stackName: name });
  for (const { id, spec } of services.slice(0, REMOVALS_MAX)) {
    plan.steps.push({ kind: "removeService", serviceId: id });
    noteRemoved(plan, id, spec?.annotations?.name ?? id);
  }
  if (services.length > 0) return plan.end();
  const left = plan.services.reduce((count, { serviceId }) => count + tasksLeft(tx, serviceId), 0);
  if (left > 0) return plan.end();
  const objects = objectsOf(tx, stack);
  plan.steps.push(...objects, { kind: "removeStack", stackId: stack.id });
  const { steps, wakeAtMs, more, gone } = plan;
  return { steps, wakeAtMs, more, gone };
}

function noteRemoved(plan: StackPlanBuilder, serviceId: string, name: string): void {
  const at = plan.services.findIndex((service) => service.serviceId === serviceId);
  const state = StackServiceState.REMOVED;
  if (at >= 0) plan.note(at, { state, message: "" });
  else {
    plan.services = [
      ...plan.services,
      StackServiceProgress.fromPartial({ key: name, name, serviceId, state }),
    ];
  }
}

/** Tasks that still stop, on nodes that can say when they have. */
function tasksLeft(tx: ReadTx, serviceId: string): number {
  if (serviceId === "") return 0;
  const node = (task: Task): Node | undefined => tx.get("node", task.nodeId);
  return tx
    .list("task", { by: "serviceId", serviceId })
    .filter(
      (task) => !isTerminal(task) && !isUnassigned(task) && node(task)?.status?.state === NodeState.READY,
    ).length;
}
