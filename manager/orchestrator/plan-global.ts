/**
 * Global services: one task on every node that is neither drained, down nor excluded by a constraint.
 * Tasks name their node from the start. A paused node keeps its task and gets no new one;
 * one that is down keeps its task until the cluster gives up on it,
 * for it may return with the container running; one that is drained keeps its task until the others have
 * left,
 * for those may need it: what a log shipper or a storage driver does.
 * Pure.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { satisfiesPlacement } from "../scheduler/constraint.js";
import { createdFor } from "./cause.js";
import { holdUntilDeadline, isDrained } from "./hand-over.js";
import { PORTION_SLOTS } from "./plan-replicated.js";
import { planSlot } from "./plan-slot.js";
import { planUpdate } from "./plan-update.js";
import { nodeName, type PlanBuilder } from "./service-plan.js";
import { groupInPortions, lostBecause, makeSlot, type Slot } from "./slot.js";
import { isWaitedFor } from "./stranded.js";
import { isRunning, isUnassigned, isWanted } from "./task-state.js";

/** @returns true when a global service with this placement belongs on the node. */
export function takesGlobal(node: Node, plan: PlanBuilder): boolean {
  return (
    node.status?.state !== NodeState.DOWN &&
    node.spec?.availability !== NodeAvailability.DRAIN &&
    satisfiesPlacement(node, plan.service.spec?.task?.placement)
  );
}

/** Why a global service does not belong on the node, in words. */
export function refusedBecause(node: Node): string {
  if (isDrained(node)) return `${nodeName(node)} is drained`;
  return lostBecause(node.id, node) ?? `${nodeName(node)} no longer meets the constraints`;
}

export function* planGlobal(plan: PlanBuilder): Generator<void, readonly Slot[]> {
  const { input } = plan;
  const groups = yield* groupInPortions(input.tasks, (task) => task.nodeId);
  const first = input.tasks.length === 0 && plan.service.previousSpec === undefined;
  const slots: Slot[] = [];
  const updatable: Slot[] = [];
  for (const [at, node] of input.nodes.entries()) {
    if (at % PORTION_SLOTS === 0) yield;
    const tasks = groups.get(node.id) ?? [];
    const paused = node.spec?.availability === NodeAvailability.PAUSE;
    if (!takesGlobal(node, plan)) {
      if (tasks.length > 0) leave(plan, node, tasks);
    } else if (tasks.length > 0) {
      const slot = makeSlot(node.id, tasks, plan.service, input.node);
      slots.push(slot);
      // A paused node takes nothing new: what it has is updated when it is active again.
      if (!paused) updatable.push(slot);
      if (!paused || tasks.some(isWanted)) planSlot(plan, slot);
    } else if (!paused) {
      const why = first
        ? createdFor(plan.service)
        : ({ kind: "node", detail: `${nodeName(node)} takes tasks` } as const);
      plan.create({ slot: 0, nodeId: node.id, ...why });
    }
  }
  for (const [nodeId, tasks] of groups) {
    if (input.node(nodeId) !== undefined) continue;
    for (const task of tasks) {
      plan.stop(task, { kind: "node", detail: `${nodeId} was removed` }, TaskState.REMOVE);
    }
  }
  yield* planUpdate(plan, updatable);
  return slots;
}

/** The service does not belong on the node, or not any more. */
function leave(plan: PlanBuilder, node: Node, tasks: readonly Task[]): void {
  if (isWaitedFor(plan, node)) return;
  const others = isDrained(node) && node.status?.state !== NodeState.DOWN ? plan.input.othersOn(node.id) : 0;
  for (const task of tasks) {
    if (!isWanted(task)) continue;
    if (others > 0 && isRunning(task)) {
      const what = others === 1 ? "1 other task" : `${others} other tasks`;
      holdUntilDeadline(plan, task, `${what} of ${nodeName(node)} to leave`);
    } else {
      // No node was told of it: nobody would say that it has stopped, and it would keep its addresses.
      const state = isUnassigned(task) ? TaskState.REMOVE : TaskState.SHUTDOWN;
      plan.stop(task, { kind: "node", detail: refusedBecause(node) }, state);
    }
  }
}
