/**
 * Tasks of a node that is down, and that no other node could take: they are left alone for a while,
 * because the node's daemon may only be restarting,
 * and then finds its containers running and goes on with them.
 * Pure. Invariant: nothing is held back for longer than the cluster's time to orphan.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState } from "../../proto/gen/skein/v1/types.js";
import { satisfiesPlacement } from "../scheduler/constraint.js";
import type { PlanBuilder } from "./service-plan.js";

/** @returns true while a task on the node is better waited for; asks to be planned again when that ends. */
export function isWaitedFor(plan: PlanBuilder, node: Node): boolean {
  if (node.status?.state !== NodeState.DOWN) return false;
  const untilMs = plan.input.downSinceMs(node.id) + plan.input.orphanAfterMs;
  if (plan.input.nowMs >= untilMs) return false;
  plan.wakeAt(untilMs);
  return true;
}

/**
 * A plan that relies on it asks to be made again when a node comes.
 * @returns true for a task on a node that is down, while no node is there that could run a successor.
 */
export function isStranded(plan: PlanBuilder, task: Task): boolean {
  const node = plan.input.node(task.nodeId);
  if (node === undefined) return false;
  if (isTakenBySome(plan) || !isWaitedFor(plan, node)) return false;
  plan.waitsForNodes = true;
  return true;
}

/** @returns whether a node is there that takes new tasks, the service's among them. */
export function isTakenBySome(plan: PlanBuilder): boolean {
  return plan.input.nodes.some(
    (node) =>
      node.status?.state === NodeState.READY &&
      (node.spec?.availability ?? NodeAvailability.ACTIVE) === NodeAvailability.ACTIVE &&
      satisfiesPlacement(node, plan.service.spec?.task?.placement),
  );
}
