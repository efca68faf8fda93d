/**
 * One slot of a service: its tasks, newest first, sorted into what each is good for.
 * Pure. Invariant: a wanted task is in exactly one of `clean`, `dirty`, `displaced`, `lost`, `dead`.
 */
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState } from "../../proto/gen/skein/v1/types.js";
import { satisfiesPlacement } from "../scheduler/constraint.js";
import { atOnce } from "./portions.js";
import { mayRestart } from "./restart-policy.js";
import { isDirty } from "./spec-equality.js";
import { isRunning, isTerminal, isUnassigned, isWanted, newestFirst } from "./task-state.js";

export interface Slot {
  /** Slot number, or node id of a global service. */
  readonly key: number | string;
  /** All that are kept, newest first. */
  readonly tasks: readonly Task[];
  /** Wanted, alive, on a good node, and as the service asks. */
  readonly clean: readonly Task[];
  /** Wanted, alive, on a good node, but of an older specification. */
  readonly dirty: readonly Task[];
  /** Alive, but its node is drained or no longer meets its constraints. */
  readonly displaced: readonly Task[];
  /** Its node is down or gone. */
  readonly lost: readonly Task[];
  /** Wanted, but it has ended. */
  readonly dead: readonly Task[];
}

/** Why a task may not stay where it is; undefined when it may. */
export function displacedBecause(task: Task, node: Node): string | undefined {
  const name = node.description?.hostname || node.id;
  if (node.spec?.availability === NodeAvailability.DRAIN) return `${name} is drained`;
  if (!satisfiesPlacement(node, task.spec?.placement)) return `${name} no longer meets the constraints`;
  return undefined;
}

/** Why the task's node is of no use; undefined when it can be heard. */
export function lostBecause(nodeId: string, node: Node | undefined): string | undefined {
  if (node === undefined) return `${nodeId} was removed`;
  return node.status?.state === NodeState.DOWN
    ? `${node.description?.hostname || nodeId} is down`
    : undefined;
}

export function makeSlot(
  key: number | string,
  tasks: readonly Task[],
  service: Service,
  nodeOf: (id: string) => Node | undefined,
): Slot {
  const sorted = newestFirst(tasks);
  const [only] = sorted;
  if (only !== undefined && sorted.length === 1 && judge(only, service, nodeOf) === "clean") {
    return { key, tasks: sorted, clean: sorted, dirty: NONE, displaced: NONE, lost: NONE, dead: NONE };
  }
  const groups: Record<Judgement, Task[]> = { clean: [], dirty: [], displaced: [], lost: [], dead: [] };
  for (const task of sorted) {
    const judgement = judge(task, service, nodeOf);
    if (judgement !== undefined) groups[judgement].push(task);
  }
  return { key, tasks: sorted, ...groups };
}

type Judgement = "clean" | "dirty" | "displaced" | "lost" | "dead";

/** Most slots of a large service have one task, and all is well: they share this. */
const NONE: readonly Task[] = [];

/** @returns undefined for a task that was told to stop. */
function judge(
  task: Task,
  service: Service,
  nodeOf: (id: string) => Node | undefined,
): Judgement | undefined {
  if (!isWanted(task)) return undefined;
  if (isTerminal(task)) return "dead";
  const node = task.nodeId === "" ? undefined : nodeOf(task.nodeId);
  if (task.nodeId !== "" && lostBecause(task.nodeId, node) !== undefined) return "lost";
  if (node !== undefined && displacedBecause(task, node) !== undefined) return "displaced";
  return isDirty(task, service, node) ? "dirty" : "clean";
}

/** Groups the tasks that are not being removed. */
export function groupBySlot<K extends number | string>(
  tasks: readonly Task[],
  keyOf: (task: Task) => K,
): ReadonlyMap<K, readonly Task[]> {
  return atOnce(groupInPortions(tasks, keyOf));
}

/** The same, with chances to pause. */
export function* groupInPortions<K extends number | string>(
  tasks: readonly Task[],
  keyOf: (task: Task) => K,
): Generator<void, ReadonlyMap<K, readonly Task[]>> {
  const groups = new Map<K, Task[]>();
  for (const [at, task] of tasks.entries()) {
    if (at % PORTION_TASKS === PORTION_TASKS - 1) yield;
    if (task.desiredState === TaskState.REMOVE) continue;
    const key = keyOf(task);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [task]);
    else group.push(task);
  }
  return groups;
}

/** Tasks grouped between two chances to pause. */
const PORTION_TASKS = 256;

/**
 * The slot has no task to wait for and its policy asks for no further one: "run once" that ran,
 * or attempts used up.
 */
export function isFinished(slot: Slot): boolean {
  const newest = slot.tasks[0];
  return newest !== undefined && !isWanted(newest) && !mayRestart(newest, slot.tasks);
}

/**
 * Old ones that a newer old one has taken over from: a further update came before they were told to stop.
 * They do not wait for it: it may be paused, or their node.
 */
export function supersededIn(slot: Slot): readonly Task[] {
  if (slot.dirty.length < 2) return NONE;
  const serving = slot.dirty.findIndex(isRunning);
  return serving < 0 ? NONE : slot.dirty.slice(serving + 1);
}

/** The best of several clean tasks: one that runs, else the one that came furthest, else the newest. */
export function keeperOf(slot: Slot): Task | undefined {
  return slot.clean.find(isRunning) ?? slot.clean.find((task) => !isUnassigned(task)) ?? slot.clean[0];
}
