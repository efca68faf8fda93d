/**
 * Replicated services: as many slots as replicas. New slots take the lowest free numbers;
 * when there are too many, those without a running task go first, newest first, then one at a time from the
 * node that runs most of the service.
 * Pure. Yields between portions, so that a service of many thousand tasks is planned in slices.
 */
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { createdFor } from "./cause.js";
import { planSlot } from "./plan-slot.js";
import { planUpdate } from "./plan-update.js";
import { atOnce, sortInPortions } from "./portions.js";
import type { PlanBuilder } from "./service-plan.js";
import { groupInPortions, makeSlot, type Slot } from "./slot.js";
import { createdAtMs, isRunning, isWanted } from "./task-state.js";

/** Slots between two chances to pause. */
export const PORTION_SLOTS = 64;

export function* planReplicated(plan: PlanBuilder, replicas: number): Generator<void, readonly Slot[]> {
  const groups = yield* groupInPortions(plan.input.tasks, (task) => task.slot);
  const keys = new Float64Array([...groups.keys()]).sort();
  yield;
  const slots: Slot[] = [];
  for (const [at, key] of keys.entries()) {
    slots.push(makeSlot(key, groups.get(key) ?? [], plan.service, plan.input.node));
    if (at % PORTION_SLOTS === 0) yield;
  }
  const removed = new Set(yield* removalsInPortions(slots, slots.length - replicas));
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
    plan.begin(slot, first ? createdFor(plan.service) : { kind: "scale", detail });
    count++;
    if (count % PORTION_SLOTS === 0) yield;
  }
}

/** @returns the `count` slots to give up; none when count is 0 or less. */
export function chooseRemovals(slots: readonly Slot[], count: number): readonly Slot[] {
  return atOnce(removalsInPortions(slots, count));
}

function* removalsInPortions(slots: readonly Slot[], count: number): Generator<void, readonly Slot[]> {
  if (count <= 0) return [];
  const idle: Slot[] = [];
  const byNode = new Map<string, Slot[]>();
  for (const [at, slot] of slots.entries()) {
    if (at % PORTION_SLOTS === 0) yield;
    const nodeId = slot.tasks.find((task) => isWanted(task) && isRunning(task))?.nodeId;
    if (nodeId === undefined) idle.push(slot);
    else {
      const group = byNode.get(nodeId);
      if (group === undefined) byNode.set(nodeId, [slot]);
      else group.push(slot);
    }
  }
  const chosen = (yield* sortInPortions(idle, newestSlotFirst)).slice(0, count);
  return chosen.length === count
    ? chosen
    : [...chosen, ...(yield* fromBusiest(byNode, count - chosen.length))];
}

/** One at a time from the node that has most; among equals in order of node id. */
function* fromBusiest(byNode: ReadonlyMap<string, Slot[]>, count: number): Generator<void, readonly Slot[]> {
  const groups: Slot[][] = [];
  for (const [, group] of [...byNode.entries()].sort(([a], [b]) => (a < b ? -1 : 1))) {
    groups.push(yield* sortInPortions(group, newestSlotFirst));
  }
  const chosen: Slot[] = [];
  let size = Math.max(0, ...groups.map((group) => group.length));
  for (; size > 0; size--) {
    yield;
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
