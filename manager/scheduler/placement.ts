/**
 * Chooses nodes for tasks of one group (same service and specification):
 * spread over the preferences' branches first, then nodes where the service does not keep failing, then
 * fewest tasks of the service, then fewest tasks at all.
 * Pure, save that placements are noted in the node set.
 * Cost: a single task without preferences takes the first fitting node of the least loaded bucket; a group of
 * k tasks filters N nodes once and takes O(k log N) from heaps.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { type FilterRefusal, type GenericResource, TaskState } from "../../proto/gen/skein/v1/types.js";
import { attributeOf } from "./constraint.js";
import { assignGeneric, FilterPipeline } from "./filter.js";
import { NodeHeap } from "./node-heap.js";
import { holdingOf, type NodeInfo } from "./node-info.js";
import type { NodeSet } from "./node-set.js";

/** More than any number of tasks on a node. */
const FAILING_COST = 2 ** 32;

export interface Placed {
  readonly task: Task;
  readonly nodeId: string;
  readonly generic: readonly GenericResource[];
}

export interface Unplaced {
  readonly task: Task;
  readonly reason: string;
  readonly refusals: readonly FilterRefusal[];
}

export interface PlacementResult {
  readonly placed: readonly Placed[];
  readonly unplaced: readonly Unplaced[];
}

/** Places every task, or says why not. Tasks that name their node already are only checked against it. */
export function placeTasks(set: NodeSet, tasks: readonly Task[]): PlacementResult {
  const placed: Placed[] = [];
  const unplaced: Unplaced[] = [];
  for (const group of groupTasks(tasks)) {
    const [first] = group;
    if (first === undefined) continue;
    if (first.nodeId !== "") for (const task of group) placeGiven(set, task, { placed, unplaced });
    else placeGroup(set, group, { placed, unplaced });
  }
  return { placed, unplaced };
}

interface Results {
  readonly placed: Placed[];
  readonly unplaced: Unplaced[];
}

/**
 * Same service, specification and, when it has one, predecessor:
 * what one set of prepared filters is right for.
 */
function groupTasks(tasks: readonly Task[]): readonly (readonly Task[])[] {
  const groups = new Map<string, Task[]>();
  for (const task of tasks) {
    const own = task.nodeId !== "" || task.replacesTaskId !== "" ? task.id : "";
    const key = `${task.serviceId}/${task.specVersion?.index ?? 0}/${own}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [task]);
    else group.push(task);
  }
  return [...groups.values()];
}

function placeGiven(set: NodeSet, task: Task, results: Results): void {
  const info = set.get(task.nodeId);
  if (info === undefined) {
    results.unplaced.push({
      task,
      reason: `no suitable node (node ${task.nodeId} is not in the cluster)`,
      refusals: [],
    });
    return;
  }
  const pipeline = new FilterPipeline(task);
  if (pipeline.accepts(info)) results.placed.push(place(set, task, info));
  else results.unplaced.push({ task, reason: pipeline.explain([info]), refusals: [] });
}

function placeGroup(set: NodeSet, group: readonly Task[], results: Results): void {
  const [first] = group;
  if (first === undefined) return;
  const pipeline = new FilterPipeline(first);
  const preferences = first.spec?.placement?.spreadPreferences ?? [];
  if (group.length === 1 && preferences.length === 0) {
    const info = leastLoaded(set, first, pipeline);
    if (info !== undefined) results.placed.push(place(set, first, info));
    else results.unplaced.push({ task: first, reason: pipeline.explain(set.all()), refusals: [] });
    return;
  }
  const candidates = [...set.all()].filter((info) => pipeline.accepts(info));
  const branch = makeBranch(candidates, { preferences, serviceId: first.serviceId, nowMs: set.nowMs });
  let reason: string | undefined;
  for (const task of group) {
    const info = takeFrom(branch);
    if (info === undefined) {
      reason ??= pipeline.explain(set.all());
      results.unplaced.push({ task, reason, refusals: [] });
      continue;
    }
    results.placed.push(place(set, task, info));
    giveBack(branch, info, pipeline.accepts(info));
  }
}

/** A node without a task of the service in the least loaded bucket, else the one with the fewest. */
function leastLoaded(set: NodeSet, task: Task, pipeline: FilterPipeline): NodeInfo | undefined {
  let best: { readonly info: NodeInfo; readonly cost: number } | undefined;
  for (const info of set.leastLoadedFirst()) {
    const failing = info.isFailing(task.serviceId, set.nowMs);
    const cost = info.serviceCount(task.serviceId) + (failing ? FAILING_COST : 0);
    if (best !== undefined && cost >= best.cost) continue;
    if (!pipeline.accepts(info)) continue;
    if (cost === 0) return info;
    best = { info, cost };
  }
  return best?.info;
}

function place(set: NodeSet, task: Task, info: NodeInfo): Placed {
  const generic = assignGeneric(task, info);
  const assigned: Task = {
    ...task,
    nodeId: info.id,
    assignedGenericResources: generic,
    status: task.status && { ...task.status, state: TaskState.ASSIGNED },
  };
  const held = holdingOf(assigned);
  if (held !== undefined) set.place(task.id, { nodeId: info.id, held });
  return { task, nodeId: info.id, generic };
}

/** One level of the preferences' tree; a leaf holds nodes in a heap. */
type Branch =
  | { readonly kind: "leaf"; readonly heap: NodeHeap; taskCount: number }
  | {
      readonly kind: "fork";
      readonly preference: string;
      /** By value of the preference, sorted. */
      readonly children: ReadonlyMap<string, Branch>;
      taskCount: number;
    };

function makeBranch(
  infos: readonly NodeInfo[],
  options: { preferences: readonly string[]; serviceId: string; nowMs: number },
): Branch {
  const { serviceId } = options;
  const taskCount = infos.reduce((sum, info) => sum + info.serviceCount(serviceId), 0);
  const [preference, ...rest] = options.preferences;
  if (preference === undefined) return { kind: "leaf", heap: new NodeHeap(infos, options), taskCount };
  const groups = new Map<string, NodeInfo[]>();
  for (const info of infos) {
    const value = attributeOf(info.node, preference) ?? "";
    const group = groups.get(value);
    if (group === undefined) groups.set(value, [info]);
    else group.push(info);
  }
  const children = new Map<string, Branch>();
  for (const value of [...groups.keys()].sort()) {
    children.set(value, makeBranch(groups.get(value) ?? [], { ...options, preferences: rest }));
  }
  return { kind: "fork", preference, children, taskCount };
}

function hasRoom(branch: Branch): boolean {
  return branch.kind === "leaf" ? branch.heap.size > 0 : [...branch.children.values()].some(hasRoom);
}

/** Takes the best node out of the branch with the fewest tasks of the service. */
function takeFrom(branch: Branch): NodeInfo | undefined {
  if (branch.kind === "leaf") return branch.heap.take();
  let best: Branch | undefined;
  for (const child of branch.children.values()) {
    if (hasRoom(child) && (best === undefined || child.taskCount < best.taskCount)) best = child;
  }
  return best === undefined ? undefined : takeFrom(best);
}

function giveBack(branch: Branch, info: NodeInfo, accepts: boolean): void {
  branch.taskCount++;
  if (branch.kind === "leaf") {
    if (accepts) branch.heap.push(info);
    return;
  }
  const child = branch.children.get(attributeOf(info.node, branch.preference) ?? "");
  if (child !== undefined) giveBack(child, info, accepts);
}
