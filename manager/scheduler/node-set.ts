/**
 * All nodes with what runs on them, kept up to date one change at a time,
 * and ordered by number of tasks in buckets so that the least loaded node is found without looking at the
 * others.
 * Pure. Invariants: a node is in the bucket of its `taskCount`; a task is held by at most one node.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { observedState } from "../orchestrator/task-state.js";
import { type Held, holdingOf, NodeInfo } from "./node-info.js";

export class NodeSet {
  /** Time of the decision, ms since the epoch: failures older than a while do not count. */
  nowMs = 0;
  readonly #nodes = new Map<string, NodeInfo>();
  /** Task id to node id, for tasks that hold something. */
  readonly #nodeOf = new Map<string, string>();
  /** By number of tasks; sparse. */
  readonly #buckets: Map<string, NodeInfo>[] = [];

  static from(nodes: readonly Node[], tasks: readonly Task[]): NodeSet {
    const set = new NodeSet();
    for (const node of nodes) set.syncNode(node.id, node);
    for (const task of tasks) {
      set.syncTask(task.id, task);
      set.noteFailure(task);
    }
    return set;
  }

  get size(): number {
    return this.#nodes.size;
  }

  get(id: string): NodeInfo | undefined {
    return this.#nodes.get(id);
  }

  all(): IterableIterator<NodeInfo> {
    return this.#nodes.values();
  }

  /** Nodes with fewer tasks first. Changing the set while iterating is not allowed. */
  *leastLoadedFirst(): IterableIterator<NodeInfo> {
    for (const bucket of this.#buckets) if (bucket !== undefined) yield* bucket.values();
  }

  /** @param tasksOf the node's tasks, asked for when the node is new here. */
  syncNode(id: string, node: Node | undefined, tasksOf: readonly Task[] = []): void {
    const info = this.#nodes.get(id);
    if (node === undefined) {
      if (info === undefined) return;
      this.#buckets[info.taskCount]?.delete(id);
      for (const taskId of info.held.keys()) this.#nodeOf.delete(taskId);
      this.#nodes.delete(id);
    } else if (info === undefined) {
      const made = new NodeInfo(node);
      this.#nodes.set(id, made);
      this.#bucket(0).set(id, made);
      for (const task of tasksOf) this.syncTask(task.id, task);
    } else info.node = node;
  }

  /** @returns true when the task gave up something it held before. */
  syncTask(id: string, task: Task | undefined): boolean {
    const held = task === undefined ? undefined : holdingOf(task);
    const nodeId = held === undefined ? undefined : task?.nodeId;
    const before = this.#nodeOf.get(id);
    const wanted = before !== undefined && this.#nodes.get(before)?.held.get(id)?.wanted === true;
    if (before !== undefined && before !== nodeId) this.#change(before, (info) => info.remove(id));
    if (nodeId === undefined || held === undefined) {
      this.#nodeOf.delete(id);
      return before !== undefined;
    }
    this.place(id, { nodeId, held });
    return before !== undefined && (before !== nodeId || (wanted && !held.wanted));
  }

  /** Notes a task on a node; used for placements that are not in the store yet. */
  place(taskId: string, where: { nodeId: string; held: Held }): void {
    if (!this.#nodes.has(where.nodeId)) return;
    this.#nodeOf.set(taskId, where.nodeId);
    this.#change(where.nodeId, (info) => info.add(taskId, where.held));
  }

  /** Remembers that a task failed where it was; does nothing for a task that did not fail. */
  noteFailure(task: Task): void {
    const state = observedState(task);
    if (state !== TaskState.FAILED && state !== TaskState.REJECTED) return;
    this.#nodes.get(task.nodeId)?.noteFailure(task.serviceId, task.status?.timestampMs ?? 0);
  }

  #change(nodeId: string, change: (info: NodeInfo) => void): void {
    const info = this.#nodes.get(nodeId);
    if (info === undefined) return;
    const before = info.taskCount;
    change(info);
    if (info.taskCount === before) return;
    this.#buckets[before]?.delete(nodeId);
    this.#bucket(info.taskCount).set(nodeId, info);
  }

  #bucket(count: number): Map<string, NodeInfo> {
    while (this.#buckets.length <= count) this.#buckets.push(new Map());
    const bucket = this.#buckets[count];
    return bucket ?? new Map(); // the loop above made it
  }
}
