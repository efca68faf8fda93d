/**
 * How a slot passes from one task to the next: when a task that is held back may start, when one that must go
 * may, and what each waits for meanwhile.
 * Pure. Invariants: a stop-first service never has two tasks of a slot that may run at once, a start-first
 * one never three, but past the time that an old one has to stop; nothing stays on a drained node beyond the
 * drain's deadline.
 *
 *   start-first   old runs ──────────────► stops          a drained node's task of a stop-first service stays
 *                 new prepares, runs ────────────►        until its successor is prepared on another node
 *   stop-first    old runs ──► stops
 *                 new prepares, READY ──► runs ──►
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { blockersAmong } from "./blockers.js";
import { clockText, endOf } from "./cause.js";
import { mustWaitFor, waitLimitMs } from "./restart-policy.js";
import { dueAtMs, nodeName, type PlanBuilder } from "./service-plan.js";
import { displacedBecause, type Slot } from "./slot.js";
import { isDirty } from "./spec-equality.js";
import { isTakenBySome } from "./stranded.js";
import { openWait } from "./task-account.js";
import { isRunning, isTerminal, isWanted, observedState, stateRank } from "./task-state.js";

const READY = stateRank(TaskState.READY);

function isPrepared(task: Task): boolean {
  return stateRank(observedState(task)) >= READY;
}

/** The tasks of the slot that must have stopped before this one starts. */
function blockersOf(plan: PlanBuilder, slotTasks: readonly Task[], task: Task): readonly Task[] {
  const { startFirst, input } = plan;
  const mayRun = (old: Task): boolean =>
    mustWaitFor(old, input.node(old.nodeId)) && (isWanted(old) || input.nowMs < waitLimitMs(task, old));
  const older = slotTasks.slice(slotTasks.indexOf(task) + 1);
  const beside = startFirst ? slotTasks.filter((other) => other !== task) : older;
  const before = beside.find((old) => old.id === task.replacesTaskId && !isWanted(old));
  return blockersAmong([...beside, ...plan.leaving(task.slot)], { startFirst, mayRun, before });
}

/**
 * READY → RUNNING (COMPLETE for a job) once the delay is over and what ran before has stopped.
 * @param slotTasks newest first.
 */
export function startWhenDue(
  plan: PlanBuilder,
  slotTasks: readonly Task[],
  options: { readonly task: Task; readonly running?: TaskState; readonly retire?: (old: Task) => void },
): void {
  const { task, running = TaskState.RUNNING } = options;
  if (task.desiredState !== TaskState.READY || plan.touched.has(task.id)) return;
  const { nowMs } = plan.input;
  if (nowMs < dueAtMs(task)) {
    plan.wakeAt(dueAtMs(task));
    return;
  }
  if (!plan.startFirst && !isPrepared(task) && mayReturn(plan, slotTasks)) return;
  let waitsFor: Task | undefined;
  for (const old of blockersOf(plan, slotTasks, task)) {
    if (isWanted(old)) {
      waitsFor = old;
      if (isPrepared(task)) options.retire?.(old);
      continue;
    }
    waitsFor = old;
    plan.wakeAt(waitLimitMs(task, old));
  }
  if (waitsFor === undefined) {
    plan.start(task, running);
    return;
  }
  plan.wait(task, "restart-delay", "");
  plan.wait(task, "predecessor", plan.waitsFor(waitsFor));
}

/** A node that is down may come back with a task of the slot, as long as that is not given up. */
function mayReturn(plan: PlanBuilder, slotTasks: readonly Task[]): boolean {
  return slotTasks.some((old) => {
    const node = old.nodeId === "" ? undefined : plan.input.node(old.nodeId);
    return node?.status?.state === NodeState.DOWN && !isTerminal(old) && !isWanted(old);
  });
}

/**
 * A task is prepared while its delay runs, and may be rejected then: its successor is not made before that
 * delay is over, or each would be made as fast as its node can refuse it. A changed service is tried at once.
 */
export function isBeforeItsTime(plan: PlanBuilder, ended: Task): boolean {
  if (plan.input.nowMs >= dueAtMs(ended)) return false;
  if (isDirty(ended, plan.service, plan.input.node(ended.nodeId))) return false;
  plan.wakeAt(dueAtMs(ended));
  return true;
}

export function isDrained(node: Node | undefined): boolean {
  return node?.spec?.availability === NodeAvailability.DRAIN;
}

/** @returns when what still runs on the drained node is stopped anyway, ms since the epoch. */
export function drainEndsAtMs(plan: PlanBuilder, node: Node): number {
  const deadlineMs = node.spec?.drainDeadlineMs || plan.input.drainDeadlineMs;
  return plan.input.drainSinceMs(node.id) + deadlineMs;
}

/**
 * A task that may not stay where it is, but serves until another does: says what it waits for, and stops it
 * when the deadline has passed. The deadline of one whose node no longer meets the constraints counts from
 * the
 * plan that found it so.
 * @param waitsFor in words, what must happen first; undefined: it may end by itself.
 */
export function holdUntilDeadline(plan: PlanBuilder, task: Task, waitsFor: string | undefined): void {
  const node = plan.input.node(task.nodeId);
  if (node === undefined) return;
  const drained = isDrained(node);
  const cause = drained ? "drain" : "node";
  const sinceMs = openWait(task, cause)?.sinceMs ?? plan.input.nowMs;
  const endsAtMs = drained ? drainEndsAtMs(plan, node) : sinceMs + plan.input.drainDeadlineMs;
  const why = displacedBecause(task, node) ?? `${nodeName(node)} is drained`;
  if (plan.input.nowMs >= endsAtMs) {
    plan.stop(task, { kind: "node", detail: `${why}, and the deadline has passed` });
    return;
  }
  plan.wakeAt(endsAtMs);
  const what = waitsFor === undefined ? "may finish" : `waits for ${waitsFor}`;
  plan.wait(task, cause, `${cause}: ${what}, until ${clockText(endsAtMs)} at the latest`);
}

/** What the displaced task of a slot waits for, in words. */
export function successorInWords(plan: PlanBuilder, successor: Task | undefined): string {
  if (successor === undefined) return "its successor to get a node";
  if (isTerminal(successor)) return `its successor, which failed: ${endOf(successor)}`;
  if (successor.nodeId === "") {
    const err = successor.status?.err ?? "";
    return `its successor to get a node${err === "" ? "" : `: ${err}`}`;
  }
  const node = nodeName(plan.input.node(successor.nodeId));
  return `its successor on ${node} ${plan.startFirst ? "to run" : "to be prepared"}`;
}

/**
 * It holds the address that its successor is to have, which is prepared only then: it serves on as long as no
 * node is there for that one.
 */
function mustGoFirst(plan: PlanBuilder, task: Task): boolean {
  if (!(task.spec?.networks ?? []).some(({ addresses }) => addresses.length > 0)) return false;
  if (isTakenBySome(plan)) return true;
  plan.waitsForNodes = true;
  return false;
}

/** Displaced tasks of the slot that serve until their successor can. */
export function holdDisplaced(plan: PlanBuilder, slot: Slot, successor: Task | undefined): void {
  for (const task of slot.displaced) {
    if (plan.touched.has(task.id)) continue;
    const goesFirst = isRunning(task) && mustGoFirst(plan, task);
    if (isRunning(task) && !goesFirst) holdUntilDeadline(plan, task, successorInWords(plan, successor));
    else if (successor !== undefined || goesFirst) {
      const node = plan.input.node(task.nodeId);
      plan.stop(task, { kind: "node", detail: (node && displacedBecause(task, node)) ?? "displaced" });
    }
  }
}
