/**
 * Global services: one task on every node that is neither drained, down nor excluded by a constraint.
 * Tasks name their node from the start. A paused node keeps its task and gets no new one;
 * one that is down keeps its task until the cluster gives up on it,
 * for it may return with the container running.
 * Pure.
 */
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { satisfiesPlacement } from "../scheduler/constraint.js";
import { planSlot } from "./plan-slot.js";
import { planUpdate } from "./plan-update.js";
import type { PlanBuilder } from "./service-plan.js";
import { groupBySlot, makeSlot, type Slot } from "./slot.js";
import { isWaitedFor } from "./stranded.js";
import { isWanted } from "./task-state.js";

/** @returns true when a global service with this placement belongs on the node. */
export function takesGlobal(node: Node, plan: PlanBuilder): boolean {
  return (
    node.status?.state !== NodeState.DOWN &&
    node.spec?.availability !== NodeAvailability.DRAIN &&
    satisfiesPlacement(node, plan.service.spec?.task?.placement)
  );
}

export function planGlobal(plan: PlanBuilder): readonly Slot[] {
  const { input } = plan;
  const groups = groupBySlot(input.tasks, (task) => task.nodeId);
  const slots: Slot[] = [];
  for (const node of input.nodes) {
    const tasks = groups.get(node.id) ?? [];
    const takes = takesGlobal(node, plan);
    if (!takes) {
      if (isWaitedFor(plan, node)) continue;
      for (const task of tasks) if (isWanted(task)) plan.desire(task, TaskState.SHUTDOWN);
      continue;
    }
    if (tasks.length > 0) {
      const slot = makeSlot(node.id, tasks, plan.service, input.node);
      slots.push(slot);
      if (node.spec?.availability !== NodeAvailability.PAUSE || tasks.some(isWanted)) planSlot(plan, slot);
    } else if (node.spec?.availability !== NodeAvailability.PAUSE) {
      const first = input.tasks.length === 0;
      plan.create({
        slot: 0,
        nodeId: node.id,
        kind: first ? "create" : "node",
        ...(first ? {} : { detail: `${node.description?.hostname || node.id} takes tasks` }),
      });
    }
  }
  for (const [nodeId, tasks] of groups) {
    if (input.node(nodeId) !== undefined) continue;
    for (const task of tasks) plan.desire(task, TaskState.REMOVE);
  }
  planUpdate(plan, slots);
  return slots;
}
