/**
 * All nodes with what runs on them, kept up to date one change at a time; each change stands in a journal,
 * from which whoever keeps an order or a count of nodes brings it up to date.
 * Pure. Invariants: a task is held by at most one node; nodes have distinct small numbers.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { observedState } from "../orchestrator/task-state.js";
import { ChangeJournal, EVERYTHING, NodeChange, nodeChanges } from "./node-change.js";
import { freedBits, type Held, holdingOf, NodeInfo } from "./node-info.js";

export class NodeSet {
  /** Time of the decision, ms since the epoch: failures older than a while do not count. */
  nowMs = 0;
  readonly journal = new ChangeJournal();
  readonly #byId = new Map<string, NodeInfo>();
  readonly #byNumber: (NodeInfo | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  /** Task id to its node, for tasks that hold something. */
  readonly #nodeOf = new Map<string, NodeInfo>();
  /** Service id to the number of nodes where tasks of it should run. */
  readonly #spreadOf = new Map<string, number>();
  /** Ports that the routing mesh takes on every node, as `portKey`, by the service that publishes them. */
  #ingressPorts: ReadonlyMap<string, string> = new Map();

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
    return this.#byId.size;
  }

  /** Numbers are below this. */
  get numbersEnd(): number {
    return this.#byNumber.length;
  }

  get(id: string): NodeInfo | undefined {
    return this.#byId.get(id);
  }

  /** @param at a node's number. */
  at(at: number): NodeInfo | undefined {
    return this.#byNumber[at];
  }

  all(): IterableIterator<NodeInfo> {
    return this.#byId.values();
  }

  /** Where the task holds something. */
  nodeOf(taskId: string): NodeInfo | undefined {
    return this.#nodeOf.get(taskId);
  }

  /** On how many nodes tasks of the service should run. */
  spreadOf(serviceId: string): number {
    return this.#spreadOf.get(serviceId) ?? 0;
  }

  get ingressPorts(): ReadonlyMap<string, string> {
    return this.#ingressPorts;
  }

  /** Who waits for a host port has to look at every node again. */
  setIngressPorts(ports: ReadonlyMap<string, string>): void {
    if (haveSameEntries(ports, this.#ingressPorts)) return;
    this.#ingressPorts = ports;
    for (const info of this.all()) this.#note(info, NodeChange.ports);
  }

  /** @param tasksOf the node's tasks, asked for when the node is new here. */
  syncNode(id: string, node: Node | undefined, tasksOf: readonly Task[] = []): void {
    const info = this.#byId.get(id);
    if (node === undefined) {
      if (info !== undefined) this.#drop(info);
    } else if (info === undefined) {
      const at = this.#freeNumbers.pop() ?? this.#byNumber.length;
      const made = new NodeInfo(node, at);
      this.#byId.set(id, made);
      this.#byNumber[at] = made;
      this.#note(made, EVERYTHING);
      for (const task of tasksOf) this.syncTask(task.id, task);
    } else {
      const bits = nodeChanges(info.node, node);
      info.node = node;
      if (bits !== 0) this.#note(info, bits);
    }
  }

  syncTask(id: string, task: Task | undefined): void {
    const held = task === undefined ? undefined : holdingOf(task);
    const info = held === undefined || task === undefined ? undefined : this.#byId.get(task.nodeId);
    const before = this.#nodeOf.get(id);
    if (before !== undefined && before !== info) this.#remove(id, before);
    if (info !== undefined && held !== undefined) this.place(id, info, held);
  }

  /** Notes a task on a node; used for placements that are not in the store yet, too. */
  place(taskId: string, info: NodeInfo, held: Held): void {
    const before = info.held.get(taskId);
    if (before !== undefined && holdsTheSame(before, held)) return;
    this.#nodeOf.set(taskId, info);
    const freed = before === undefined ? 0 : freedBits(before);
    this.#count(info, held.serviceId, () => info.add(taskId, held));
    this.#note(info, NodeChange.taken | freed);
  }

  /** Remembers that a task failed where it was; does nothing for a task that did not fail. */
  noteFailure(task: Task): void {
    const state = observedState(task);
    if (state !== TaskState.FAILED && state !== TaskState.REJECTED) return;
    const info = this.#byId.get(task.nodeId);
    if (info === undefined) return;
    info.noteFailure(task.serviceId, task.status?.timestampMs ?? 0);
    this.#note(info, NodeChange.taken);
  }

  #remove(taskId: string, info: NodeInfo): void {
    this.#nodeOf.delete(taskId);
    const held = info.held.get(taskId);
    if (held === undefined) return;
    this.#count(info, held.serviceId, () => info.remove(taskId));
    this.#note(info, NodeChange.taken | freedBits(held));
  }

  #drop(info: NodeInfo): void {
    for (const taskId of [...info.held.keys()]) this.#remove(taskId, info);
    this.#byId.delete(info.id);
    this.#byNumber[info.at] = undefined;
    this.#freeNumbers.push(info.at);
    this.#note(info, EVERYTHING);
  }

  /** Keeps count of the nodes that have the service while `change` runs. */
  #count(info: NodeInfo, serviceId: string, change: () => void): void {
    const had = info.serviceCount(serviceId) > 0;
    change();
    const has = info.serviceCount(serviceId) > 0;
    if (had === has) return;
    const nodes = this.spreadOf(serviceId) + (has ? 1 : -1);
    if (nodes === 0) this.#spreadOf.delete(serviceId);
    else this.#spreadOf.set(serviceId, nodes);
  }

  #note(info: NodeInfo, bits: number): void {
    this.journal.note(info.at, bits, this.#byNumber.length);
  }
}

function haveSameEntries(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

/** A task's reservations and ports never change; what it was given and whether it should run may. */
function holdsTheSame(a: Held, b: Held): boolean {
  return a.wanted === b.wanted && a.serviceId === b.serviceId && a.generic.size === b.generic.size;
}
