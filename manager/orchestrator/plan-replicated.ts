/**
 * Replicated services: as many slots as replicas. New slots take the lowest free numbers;
 * when there are too many, those without a running task go first, newest first, then one at a time from the
 * node that runs most of the service.
 * Pure.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { planSlot } from "./plan-slot.js";
import { planUpdate } from "./plan-update.js";
import type { PlanBuilder } from "./service-plan.js";
import { groupBySlot, makeSlot, type Slot } from "./slot.js";
import { createdAtMs, isRunning, isWanted } from "./task-state.js";

export function planReplicated(plan: PlanBuilder, replicas: number): readonly Slot[] {
  const slots = [...groupBySlot(plan.input.tasks, (task) => task.slot)]
    .map(([key, tasks]) => makeSlot(key, tasks, plan.service, plan.input.node))
    .sort((a, b) => Number(a.key) - Number(b.key));
  const removed = new Set(chooseRemovals(slots, slots.length - replicas));
  for (const slot of removed) for (const task of slot.tasks) plan.desire(task, TaskState.REMOVE);
  const kept = slots.filter((slot) => !removed.has(slot));
  for (const slot of kept) planSlot(plan, slot);
  planUpdate(plan, kept);
  grow(plan, kept, replicas);
  return kept;
}

function grow(plan: PlanBuilder, slots: readonly Slot[], replicas: number): void {
  const used = new Set(slots.map((slot) => slot.key));
  const first = plan.input.tasks.length === 0;
  for (let slot = 1, count = used.size; count < replicas; slot++) {
    if (used.has(slot)) continue;
    plan.create(
      first
        ? { slot, kind: "create" }
        : { slot, kind: "scale", detail: `${used.size} to ${replicas} replicas` },
    );
    count++;
  }
}

/** @returns the `count` slots to give up; none when count is 0 or less. */
export function chooseRemovals(slots: readonly Slot[], count: number): readonly Slot[] {
  if (count <= 0) return [];
  const runner = (slot: Slot): Task | undefined =>
    slot.tasks.find((task) => isWanted(task) && isRunning(task));
  const idle = slots.filter((slot) => runner(slot) === undefined).sort(newestSlotFirst);
  const chosen = idle.slice(0, count);
  const byNode = new Map<string, Slot[]>();
  for (const slot of slots) {
    const nodeId = runner(slot)?.nodeId;
    if (nodeId === undefined) continue;
    const group = byNode.get(nodeId);
    if (group === undefined) byNode.set(nodeId, [slot]);
    else group.push(slot);
  }
  const groups = [...byNode.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, group]) => group.sort(newestSlotFirst));
  while (chosen.length < count) {
    let busiest = groups[0];
    for (const group of groups) if (group.length > (busiest?.length ?? 0)) busiest = group;
    const slot = busiest?.shift();
    if (slot === undefined) break;
    chosen.push(slot);
  }
  return chosen;
}

function newestSlotFirst(a: Slot, b: Slot): number {
  const byTime = (b.tasks[0] ? createdAtMs(b.tasks[0]) : 0) - (a.tasks[0] ? createdAtMs(a.tasks[0]) : 0);
  return byTime || Number(b.key) - Number(a.key);
}
