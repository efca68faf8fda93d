/**
 * What the cluster would do if something were so: a service created, changed, scaled or removed, a node
 * drained, lost or removed. The same judgement of slots and the same placement as in earnest, written
 * nowhere.
 * Pure. Invariant: the answer depends on the view and the question alone; the view is only read.
 * Bounds: what is supposed is carried to its end, all of a service's tasks one by one, as with an update that
 * has a parallelism of 1; a long question yields to the event loop between services.
 */
import { nextTurn } from "../../base/loop/process-turn.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { type FilterRefusal, TaskState } from "../../proto/gen/skein/v1/types.js";
import { isUnassigned, isWanted } from "../orchestrator/task-state.js";
import { encryptedNetworkIn, ingressPortsOf, networkDriverIn } from "./network-driver.js";
import { NodeSet } from "./node-set.js";
import { Placer } from "./placement.js";
import { type ClusterPicture, type SupposedState, type Supposition, suppose } from "./what-if-question.js";
import { endTurns, type Turn, turnsOf } from "./what-if-turns.js";

export interface WhatIfQuestion {
  readonly picture: ClusterPicture;
  readonly suppositions: readonly Supposition[];
  /** For failures that count against a node. */
  readonly nowMs: number;
}

/** What becomes of one slot, with where its new task would go. */
export interface Outcome extends Turn {
  /** Where `after` would run; undefined: nowhere, or there is no `after`. */
  readonly nodeId: string | undefined;
  /** Why `after` would find no node: in words, and what each filter refuses. */
  readonly refusal: { readonly reason: string; readonly refusals: readonly FilterRefusal[] } | undefined;
}

export interface WhatIfAnswer {
  readonly state: SupposedState;
  /** In order of service id, then as the orchestrator would go about it. */
  readonly outcomes: readonly Outcome[];
}

/** Tasks looked at between two turns of the event loop. */
const SLICE_TASKS = 500;

/** @throws {NotFoundError} when a supposition names a service or node that is not there. */
export async function whatIf(question: WhatIfQuestion): Promise<WhatIfAnswer> {
  const { picture } = question;
  const state = suppose(picture, question.suppositions);
  const slices = new Slices();
  const set = new NodeSet();
  set.nowMs = question.nowMs;
  for (const node of state.nodes) {
    set.syncNode(node.id, node);
    await slices.count(1);
  }
  set.setIngressPorts(ingressPortsOf([...state.services.values()]));
  const tasksOf = new Map<string, Task[]>();
  for (const task of picture.tasks) {
    set.syncTask(task.id, task);
    set.noteFailure(task);
    const own = tasksOf.get(task.serviceId);
    if (own === undefined) tasksOf.set(task.serviceId, [task]);
    else own.push(task);
    await slices.count(1);
  }
  const turns: Turn[] = [];
  for (const id of affectedServices(state, tasksOf)) {
    const tasks = tasksOf.get(id) ?? [];
    const service = state.service(id);
    const gone = service === undefined ? picture.services.find((other) => other.id === id) : undefined;
    if (service !== undefined) turns.push(...turnsOf(service, tasks, state));
    else if (gone !== undefined) turns.push(...endTurns(gone, tasks, state));
    await slices.count(tasks.length);
  }
  // What only ends makes room first: what is new sees the room that the whole change leaves.
  for (const { before, after } of turns) {
    if (before !== undefined && after === undefined) set.syncTask(before.id, undefined);
  }
  const placer = new Placer(set, {
    strategy: picture.placementStrategy,
    networkDriver: networkDriverIn(picture.networks),
    encryptedNetwork: encryptedNetworkIn(picture.networks),
  });
  const outcomes: Outcome[] = [];
  for (const turn of turns) {
    outcomes.push(carryOut(placer, turn));
    await slices.count(1);
  }
  return { state, outcomes };
}

function carryOut(placer: Placer, turn: Turn): Outcome {
  const { before, after } = turn;
  if (after === undefined) return { ...turn, nodeId: undefined, refusal: undefined };
  const { set } = placer;
  if (before !== undefined && !turn.startFirst) {
    // it stops before its successor starts, so what it holds is free for that one, and later for others
    set.syncTask(before.id, { ...before, desiredState: TaskState.SHUTDOWN });
  }
  const result = placer.place(after);
  const isPlaced = result.kind === "placed";
  // a start-first predecessor runs on while its successor finds no node; any other has stopped
  if (before !== undefined && (isPlaced || !turn.startFirst)) set.syncTask(before.id, undefined);
  return isPlaced
    ? { ...turn, nodeId: result.nodeId, refusal: undefined }
    : { ...turn, nodeId: undefined, refusal: { reason: result.reason, refusals: result.refusals } };
}

/** @returns sorted ids of services supposed of, with tasks on nodes supposed of, that wait, or have a task per node. */
function affectedServices(
  state: SupposedState,
  tasksOf: ReadonlyMap<string, readonly Task[]>,
): readonly string[] {
  const ids = new Set(state.servicesTouched);
  const isTouched = (task: Task): boolean => state.nodesTouched.has(task.nodeId) || isWaiting(task);
  for (const [id, tasks] of tasksOf) if (id !== "" && tasks.some(isTouched)) ids.add(id);
  for (const { id, spec } of state.nodesTouched.size > 0 ? state.services.values() : []) {
    if (spec?.mode?.$case === "global" || spec?.mode?.$case === "globalJob") ids.add(id);
  }
  return [...ids].sort();
}

function isWaiting(task: Task): boolean {
  return isWanted(task) && isUnassigned(task) && task.allocated;
}

/** Lets the event loop serve others now and then. */
class Slices {
  #left = SLICE_TASKS;

  async count(tasks: number): Promise<void> {
    this.#left -= tasks;
    if (this.#left > 0) return;
    this.#left = SLICE_TASKS;
    await nextTurn();
  }
}
