/**
 * Keeps one slot at one good task: restarts what ended, replaces what lost its node,
 * finishes handovers, and lets a waiting task start. Replacing tasks of an older specification is
 * the update supervisor's part.
 * Pure.
 *
 *   clean task there ............ everything else in the slot stops, the older ones once the clean one serves
 *   only dirty ones alive ....... what ended or was lost stops, and what is older than one that
 *                                 runs; the update supervisor paces the rest
 *   none alive .................. the newest gets a successor:
 *   at once when its node is lost or drained (and another
 *                                 node could take it), after the
 *                                 restart delay when it ended, not at all when its policy says so
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { changeOf, endOf, type StopKind } from "./cause.js";
import { holdDisplaced, holdUntilDeadline, isBeforeItsTime, isDrained, startWhenDue } from "./hand-over.js";
import { mayRestart } from "./restart-policy.js";
import type { Cause, PlanBuilder } from "./service-plan.js";
import { displacedBecause, isFinished, keeperOf, lostBecause, type Slot, supersededIn } from "./slot.js";
import { isStranded } from "./stranded.js";
import { createdAtMs, endedByItself, isRunning, isWanted } from "./task-state.js";

export function planSlot(plan: PlanBuilder, slot: Slot): void {
  const keeper = keeperOf(slot);
  if (keeper !== undefined && slot.tasks.length === 1 && isAtRest(keeper)) return;
  const taker = keeper ?? slot.dirty.find(isRunning) ?? slot.dirty[0];
  if (taker === undefined) {
    succeed(plan, slot);
    return;
  }
  for (const task of [...slot.dead, ...slot.lost]) plan.stop(task, whyStopped(plan, slot, task));
  if (keeper !== undefined && keeper.waits.length > 0) stayed(plan, keeper);
  for (const task of keeper === undefined ? [] : slot.clean) {
    if (task !== keeper) plan.stop(task, { kind: "repair", detail: "its slot has another task" });
  }
  const retire = (task: Task): void => plan.stop(task, whyStopped(plan, slot, task));
  for (const task of supersededIn(slot)) retire(task);
  for (const task of keeper === undefined ? slot.dirty : [keeper]) {
    startWhenDue(plan, slot.tasks, { task, retire });
  }
  if (isRunning(taker)) {
    for (const task of slot.displaced) retire(task);
    if (taker === keeper) for (const task of slot.dirty) retire(task);
  } else holdDisplaced(plan, slot, taker);
}

/** Most slots of a large service: one task, and nothing to tell it. */
function isAtRest(task: Task): boolean {
  return task.desiredState === TaskState.RUNNING && task.waits.length === 0;
}

/** It may stay after all: the drain was taken back, or the node meets the constraints again. */
function stayed(plan: PlanBuilder, task: Task): void {
  plan.wait(task, "drain", "");
  plan.wait(task, "node", "");
}

/** Why a task that its slot needs no more is told to stop. */
function whyStopped(plan: PlanBuilder, slot: Slot, task: Task): Cause<StopKind> {
  const node = plan.input.node(task.nodeId);
  if (slot.dead.includes(task)) return { kind: "restart", detail: endOf(task) };
  if (slot.lost.includes(task)) return { kind: "node", detail: lostBecause(task.nodeId, node) ?? "lost" };
  const displaced = node && displacedBecause(task, node);
  if (displaced !== undefined) return { kind: "node", detail: displaced };
  return slot.dirty.includes(task)
    ? changeOf(plan.service)
    : { kind: "repair", detail: "its slot has another task" };
}

/** Nothing alive is on a good node: the newest task gets a successor, as the policy allows. */
function succeed(plan: PlanBuilder, slot: Slot): void {
  const wanted = [...slot.lost, ...slot.displaced, ...slot.dead].sort(
    (a, b) => slot.tasks.indexOf(a) - slot.tasks.indexOf(b) || createdAtMs(b) - createdAtMs(a),
  );
  const newest = wanted[0];
  if (newest === undefined) {
    repair(plan, slot);
    return;
  }
  const serving = slot.displaced.filter((task) => task !== newest && isRunning(task));
  for (const task of wanted.slice(1)) {
    if (!serving.includes(task)) plan.stop(task, whyStopped(plan, slot, task));
  }
  if (slot.displaced.includes(newest)) {
    moveAway(plan, slot, newest);
    return;
  }
  const nodeId = typeof slot.key === "string" ? slot.key : "";
  const slotTasks = slot.tasks;
  if (slot.lost.includes(newest)) {
    const node = plan.input.node(newest.nodeId);
    const detail = lostBecause(newest.nodeId, node) ?? "lost";
    // Prepared first: should the node return meanwhile, its task stops before this one starts.
    const desiredState = plan.startFirst || node === undefined ? TaskState.RUNNING : TaskState.READY;
    const why = { kind: "node", detail } as const;
    if (!isStranded(plan, newest)) plan.replace(newest, { nodeId, ...why, slotTasks, desiredState });
  } else if (mayRestart(newest, slot.tasks)) {
    if (!isBeforeItsTime(plan, newest))
      plan.restart(newest, { nodeId, running: TaskState.RUNNING, slotTasks });
  } else plan.stop(newest, whyStopped(plan, slot, newest));
  holdDisplaced(plan, slot, newest);
}

/**
 * A task whose node is drained or no longer meets its constraints. One that runs goes on until its successor
 * can take over, unless its node may not have it at all.
 */
function moveAway(plan: PlanBuilder, slot: Slot, task: Task): void {
  const nodeId = typeof slot.key === "string" ? slot.key : "";
  const node = plan.input.node(task.nodeId);
  const why = { kind: "node", detail: (node && displacedBecause(task, node)) ?? "displaced" } as const;
  const last = slot.tasks[0];
  if (!isRunning(task) || (!isDrained(node) && !plan.startFirst)) {
    if (isRunning(task) && !mayRestart(task, slot.tasks)) plan.stop(task, why);
    else plan.replace(task, { nodeId, ...why, slotTasks: slot.tasks });
  } else if (!mayRestart(task, slot.tasks)) holdUntilDeadline(plan, task, undefined);
  else if (last !== undefined && last !== task && endedByItself(last) && !mayRestart(last, slot.tasks)) {
    holdDisplaced(plan, slot, last); // its successors have used up their attempts
  } else {
    const desiredState = plan.startFirst ? TaskState.RUNNING : TaskState.READY;
    plan.createBeside(slot.tasks, { slot: task.slot, nodeId, replaces: task, ...why, desiredState });
    holdDisplaced(plan, slot, undefined);
  }
}

/**
 * Nothing in the slot is wanted any more, though nobody removed it: its task was stopped without a successor.
 */
function repair(plan: PlanBuilder, slot: Slot): void {
  const newest = slot.tasks[0];
  if (newest === undefined || isWanted(newest) || isFinished(slot)) return;
  plan.createBeside(slot.tasks, {
    slot: newest.slot,
    nodeId: typeof slot.key === "string" ? slot.key : "",
    replaces: newest,
    kind: "repair",
    detail: endedByItself(newest) ? endOf(newest) : "the slot had no task",
  });
}
