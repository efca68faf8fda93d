/**
 * Replicated services: as many slots as replicas. New slots take the lowest free numbers;
 * when there are too many, those without a running task go first, newest first, then one at a time from the
 * node that runs most of the service.
 * Pure. Yields between portions, so that a service of many thousand tasks is planned in slices.
 */
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { planSlot } from "./plan-slot.js";
import { planUpdate } from "./plan-update.js";
import type { PlanBuilder } from "./service-plan.js";
import { groupBySlot, makeSlot, type Slot } from "./slot.js";
import { createdAtMs, isRunning, isWanted } from "./task-state.js";

/** Slots between two chances to pause. */
export const PORTION_SLOTS = 64;

export function* planReplicated(plan: PlanBuilder, replicas: number): Generator<void, readonly Slot[]> {
  const groups = groupBySlot(plan.input.tasks, (task) => task.slot);
  yield;
  const keys = [...groups.keys()].sort((a, b) => a - b);
  const slots: Slot[] = [];
  for (const [at, key] of keys.entries()) {
    slots.push(makeSlot(key, groups.get(key) ?? [], plan.service, plan.input.node));
    if (at % PORTION_SLOTS === 0) yield;
  }
  const removed = new Set(chooseRemovals(slots, slots.length - replicas));
  const why = { kind: "scale", detail: scaleDetail(plan, slots.length, replicas) } as const;
  const kept: Slot[] = [];
  for (const [at, slot] of slots.entries()) {
    if (removed.has(slot)) for (const task of slot.tasks) plan.stop(task, why, TaskState.REMOVE);
    else {
      planSlot(plan, slot);
      kept.push(slot);
    }
    if (at % PORTION_SLOTS === 0) yield;
  }
  yield* planUpdate(plan, kept);
  yield* grow(plan, kept, replicas);
  return kept;
}

/** "2 to 5 replicas": from what the specification asked for before, if that was another number. */
function scaleDetail(plan: PlanBuilder, slotCount: number, replicas: number): string {
  const mode = plan.service.previousSpec?.mode;
  const before = mode?.$case === "replicated" ? mode.value.replicas : replicas;
  return `${before === replicas ? slotCount : before} to ${replicas} replicas`;
}

function* grow(plan: PlanBuilder, slots: readonly Slot[], replicas: number): Generator<void, void> {
  const used = new Set(slots.map((slot) => slot.key));
  const first = plan.input.tasks.length === 0 && plan.service.previousSpec === undefined;
  const detail = scaleDetail(plan, used.size, replicas);
  for (let slot = 1, count = used.size; count < replicas; slot++) {
    if (used.has(slot)) continue;
    plan.begin(slot, first ? { kind: "create" } : { kind: "scale", detail });
    count++;
    if (count % PORTION_SLOTS === 0) yield;
  }
}

/** @returns the `count` slots to give up; none when count is 0 or less. */
export function chooseRemovals(slots: readonly Slot[], count: number): readonly Slot[] {
  if (count <= 0) return [];
  const idle: Slot[] = [];
  const byNode = new Map<string, Slot[]>();
  for (const slot of slots) {
    const nodeId = slot.tasks.find((task) => isWanted(task) && isRunning(task))?.nodeId;
    if (nodeId === undefined) idle.push(slot);
    else {
      const group = byNode.get(nodeId);
      if (group === undefined) byNode.set(nodeId, [slot]);
      else group.push(slot);
    }
  }
  const chosen = idle.sort(newestSlotFirst).slice(0, count);
  return chosen.length === count ? chosen : [...chosen, ...fromBusiest(byNode, count - chosen.length)];
}

/** One at a time from the node that has most; among equals in order of node id. */
function fromBusiest(byNode: ReadonlyMap<string, Slot[]>, count: number): readonly Slot[] {
  const groups = [...byNode.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, group]) => group.sort(newestSlotFirst));
  const chosen: Slot[] = [];
  let size = Math.max(0, ...groups.map((group) => group.length));
  for (; size > 0; size--) {
    for (const group of groups) {
      if (group.length < size) continue;
      if (chosen.length === count) return chosen;
      const slot = group[group.length - size];
      if (slot !== undefined) chosen.push(slot);
    }
  }
  return chosen;
}

function newestSlotFirst(a: Slot, b: Slot): number {
  const byTime = (b.tasks[0] ? createdAtMs(b.tasks[0]) : 0) - (a.tasks[0] ? createdAtMs(a.tasks[0]) : 0);
  return byTime || Number(b.key) - Number(a.key);
}
