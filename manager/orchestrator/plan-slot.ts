/**
 * Keeps one slot at one good task: restarts what ended, replaces what lost its node,
 * finishes start-first handovers, and lets a waiting task start. Replacing tasks of an older specification is
 * the update supervisor's part.
 * Pure.
 *
 *   clean task there ............ everything else in the slot stops, the older ones once the clean one runs
 *   only dirty ones alive ....... what ended or was lost stops; the update supervisor paces the rest
 *   none alive .................. the newest gets a successor:
 *   at once when its node is lost or drained (and another
 *                                 node could take it), after the
 *                                 restart delay when it ended, not at all when its policy says so
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState, UpdateOrder } from "../../proto/gen/skein/v1/types.js";
import { endOf, hasCause } from "./cause.js";
import { mayRestart, mustWaitFor, restartDelayMs, waitLimitMs } from "./restart-policy.js";
import type { PlanBuilder } from "./service-plan.js";
import { displacedBecause, isFinished, keeperOf, lostBecause, type Slot } from "./slot.js";
import { isStranded } from "./stranded.js";
import { createdAtMs, endedByItself, isRunning, isWanted } from "./task-state.js";

export function planSlot(plan: PlanBuilder, slot: Slot): void {
  const keeper = keeperOf(slot);
  if (keeper !== undefined) {
    handOver(plan, slot, keeper);
    startWhenDue(plan, slot, keeper);
    return;
  }
  if (slot.dirty.length > 0) {
    for (const task of [...slot.dead, ...slot.lost]) plan.desire(task, TaskState.SHUTDOWN);
    for (const task of slot.dirty) startWhenDue(plan, slot, task);
    return;
  }
  succeed(plan, slot);
}

function handOver(plan: PlanBuilder, slot: Slot, keeper: Task): void {
  for (const task of [...slot.clean, ...slot.dead, ...slot.lost]) {
    if (task !== keeper) plan.desire(task, TaskState.SHUTDOWN);
  }
  if (!isRunning(keeper)) return; // start-first: the older ones serve until then
  for (const task of [...slot.dirty, ...slot.displaced]) plan.desire(task, TaskState.SHUTDOWN);
}

/** READY → RUNNING once the predecessor has stopped and the restart delay is over. */
function startWhenDue(plan: PlanBuilder, slot: Slot, task: Task): void {
  if (task.desiredState !== TaskState.READY) return;
  const { nowMs } = plan.input;
  const old = slot.tasks.find((other) => other.id === task.replacesTaskId);
  if (old !== undefined && mustWaitFor(old, plan.input.node(old.nodeId))) {
    const limitMs = waitLimitMs(task, old);
    if (nowMs < limitMs) {
      plan.wakeAt(limitMs);
      return;
    }
  }
  const dueMs = hasCause(task, "restart") ? createdAtMs(task) + restartDelayMs(task) : 0;
  if (nowMs < dueMs) plan.wakeAt(dueMs);
  else plan.desire(task, TaskState.RUNNING);
}

function succeed(plan: PlanBuilder, slot: Slot): void {
  const wanted = [...slot.lost, ...slot.displaced, ...slot.dead].sort(
    (a, b) => createdAtMs(b) - createdAtMs(a),
  );
  const newest = wanted[0];
  if (newest === undefined) {
    repair(plan, slot);
    return;
  }
  const node = plan.input.node(newest.nodeId);
  const nodeId = typeof slot.key === "string" ? slot.key : "";
  const startFirst = plan.service.spec?.update?.order === UpdateOrder.START_FIRST;
  for (const task of wanted.slice(1)) plan.desire(task, TaskState.SHUTDOWN);
  if (slot.lost.includes(newest) && isStranded(plan, newest)) return;
  if (!mayRestart(newest, slot.tasks)) {
    plan.desire(newest, TaskState.SHUTDOWN);
  } else if (slot.dead.includes(newest)) {
    const delayMs = restartDelayMs(newest);
    plan.replace(newest, {
      nodeId,
      kind: "restart",
      detail: endOf(newest),
      ...(delayMs > 0 ? { desiredState: TaskState.READY } : {}),
    });
    plan.wakeAt(plan.input.nowMs + delayMs);
  } else if (slot.lost.includes(newest)) {
    plan.replace(newest, { nodeId, kind: "node", detail: lostBecause(newest.nodeId, node) ?? "lost" });
  } else {
    const detail = (node && displacedBecause(newest, node)) ?? "displaced";
    if (startFirst) plan.create({ slot: newest.slot, nodeId, replaces: newest, kind: "node", detail });
    else plan.replace(newest, { nodeId, kind: "node", detail });
  }
}

/**
 * Nothing in the slot is wanted any more, though nobody removed it: its task was stopped without a successor.
 */
function repair(plan: PlanBuilder, slot: Slot): void {
  const newest = slot.tasks[0];
  if (newest === undefined || isWanted(newest) || isFinished(slot)) return;
  const waits = mustWaitFor(newest, plan.input.node(newest.nodeId));
  plan.create({
    slot: newest.slot,
    nodeId: typeof slot.key === "string" ? slot.key : "",
    replaces: newest,
    kind: "repair",
    detail: endedByItself(newest) ? endOf(newest) : "the slot had no task",
    desiredState: waits ? TaskState.READY : TaskState.RUNNING,
  });
}
