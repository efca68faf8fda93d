/**
 * The nodes that fit tasks of one kind, best first, kept from the node set's journal: a change of a node
 * costs O(log nodes) when it is next asked, a placement likewise.
 *
 *   spread     where the service keeps failing last; then fewest tasks of the service; then fewest tasks
 *   bin-pack   where the service keeps failing last; then the fullest by reservations; then most tasks
 *
 * Preferences come first: a tree of branches, one level per preference, in which the branch with the fewest
 * tasks of the service is next. A node counts in its branch also while it takes no more tasks.
 * Pure. Invariant: after `sync`, a node is in its leaf's heap exactly when all filters accept it.
 */
import { attributeOf } from "./constraint.js";
import type { FilterPipeline, Refusal } from "./filter.js";
import { HeapSpace, IndexedHeap } from "./indexed-heap.js";
import type { NodeInfo } from "./node-info.js";
import type { NodeSet } from "./node-set.js";
import { Refusals } from "./refusals.js";

export interface RankingOptions {
  /** "": the order is the same for every service, and counts none's tasks. */
  readonly serviceId: string;
  readonly binPack: boolean;
  readonly preferences: readonly string[];
}

/** Parts of a key, most significant first; all together stay below 2^53. */
const FAILING = 2 ** 52;
const PER_SERVICE_TASK = 2 ** 26;
const SERVICE_TASKS_MAX = 2 ** 26 - 1;
const TASKS_MAX = 2 ** 26 - 1;

interface Branch {
  readonly id: number;
  readonly parent: Branch | undefined;
  /** Of nodes in a leaf, else of branches. */
  readonly heap: IndexedHeap;
  /** By value of the preference; undefined in a leaf. */
  readonly children: Map<string, Branch> | undefined;
  /** Of the service. */
  taskCount: number;
}

export class Ranking {
  readonly #set: NodeSet;
  readonly #options: RankingOptions;
  readonly #refusals: Refusals;
  readonly #nodes: HeapSpace;
  readonly #branchSpace = new HeapSpace(8);
  readonly #branches: Branch[] = [];
  readonly #root: Branch;
  /** By number of the node: its leaf, and its tasks as counted there. Only with preferences. */
  readonly #leaves: (Branch | undefined)[] = [];
  readonly #counted: number[] = [];
  /** Numbers of nodes that are ranked as failing; they are looked at again when time has passed. */
  readonly #failing = new Set<number>();
  #nowMs: number;
  #readTo: number;

  constructor(set: NodeSet, pipeline: FilterPipeline, options: RankingOptions) {
    this.#set = set;
    this.#options = options;
    this.#nodes = new HeapSpace(set.numbersEnd);
    this.#root = this.#makeBranch(undefined, options.preferences.length > 0);
    this.#nowMs = set.nowMs;
    this.#readTo = set.journal.end;
    this.#refusals = new Refusals(set, pipeline);
    const infos = [...set.all()];
    if (options.preferences.length > 0) infos.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const info of infos) this.#rank(info.at);
  }

  /** About how much memory it takes. */
  get bytes(): number {
    return this.#refusals.bytes * 21 + 256;
  }

  /** Nodes that fit. */
  get size(): number {
    return this.#refusals.accepted;
  }

  /** Reads what happened to the nodes. @returns false when that is forgotten: make another ranking. */
  sync(): boolean {
    const { journal, nowMs } = this.#set;
    if (nowMs !== this.#nowMs) {
      this.#nowMs = nowMs;
      for (const at of [...this.#failing]) this.#rank(at);
    }
    if (this.#readTo === journal.end) return true;
    const read = journal.since(this.#readTo, (at, bits) => {
      if (this.#refusals.concerns(at, bits)) this.#refusals.update(at);
      this.#rank(at);
    });
    this.#readTo = journal.end;
    return read;
  }

  /** The best node; call `sync` before. */
  best(): NodeInfo | undefined {
    let branch = this.#root;
    while (branch.children !== undefined) {
      const next = branch.heap.peek();
      const child = next === undefined ? undefined : this.#branches[next];
      if (child === undefined) return undefined;
      branch = child;
    }
    const at = branch.heap.peek();
    return at === undefined ? undefined : this.#set.at(at);
  }

  /** The best node when what this task's ending predecessor holds counts as free. */
  bestExcept(taskId: string, held: NodeInfo): NodeInfo | undefined {
    this.#refusals.update(held.at, taskId);
    this.#rank(held.at);
    const best = this.best();
    this.#refusals.update(held.at);
    this.#rank(held.at);
    return best;
  }

  /**
   * Goes through the nodes, best first, without preferences.
   * @param visit returns true to stop. @param max how many at most.
   * @returns the node at which it stopped; undefined: none. `seen` then says how many there were.
   */
  walk(
    max: number,
    visit: (info: NodeInfo) => boolean,
  ): { readonly found?: NodeInfo; readonly seen: number } {
    const { heap } = this.#root;
    const aside: number[] = [];
    let found: NodeInfo | undefined;
    while (aside.length < max) {
      const at = heap.peek();
      const info = at === undefined ? undefined : this.#set.at(at);
      if (at === undefined || info === undefined) break;
      if (visit(info)) {
        found = info;
        break;
      }
      heap.remove(at);
      aside.push(at);
    }
    for (const at of aside) heap.set(at, this.#nodes.keys[at] ?? 0);
    return found === undefined ? { seen: aside.length } : { found, seen: aside.length };
  }

  explain(): Refusal {
    return this.#refusals.explain();
  }

  #rank(at: number): void {
    this.#nodes.reserve(at + 1);
    const info = this.#set.at(at);
    if (info === undefined) this.#failing.delete(at);
    const leaf = this.#options.preferences.length === 0 ? this.#root : this.#settle(at, info);
    if (leaf === undefined) return;
    if (info !== undefined && this.#refusals.accepts(at)) leaf.heap.set(at, this.#keyOf(info));
    else leaf.heap.remove(at);
    if (leaf.parent !== undefined) this.#rise(leaf);
  }

  #keyOf(info: NodeInfo): number {
    const { serviceId, binPack } = this.#options;
    const tasks = Math.min(info.taskCount, TASKS_MAX);
    let key: number;
    if (binPack) key = Math.round((1 - info.fill) * 2 ** 20) * 2 ** 26 + (TASKS_MAX - tasks);
    else {
      const own = serviceId === "" ? 0 : Math.min(info.serviceCount(serviceId), SERVICE_TASKS_MAX);
      key = own * PER_SERVICE_TASK + tasks;
    }
    if (serviceId === "" || !info.isFailing(serviceId, this.#nowMs)) {
      if (this.#failing.size > 0) this.#failing.delete(info.at);
      return key;
    }
    this.#failing.add(info.at);
    return FAILING + key;
  }

  /** Puts the node into the leaf of its labels and counts its tasks there. */
  #settle(at: number, info: NodeInfo | undefined): Branch | undefined {
    const before = this.#leaves[at];
    const leaf = info === undefined ? undefined : this.#leafOf(info);
    const counted = this.#counted[at] ?? 0;
    const count = info?.serviceCount(this.#options.serviceId) ?? 0;
    if (before !== leaf) {
      before?.heap.remove(at);
      this.#add(before, -counted);
      if (before !== undefined) this.#rise(before);
      this.#add(leaf, count);
    } else if (count !== counted) this.#add(leaf, count - counted);
    this.#leaves[at] = leaf;
    this.#counted[at] = count;
    return leaf;
  }

  #leafOf(info: NodeInfo): Branch {
    let branch = this.#root;
    const { preferences } = this.#options;
    for (const [level, preference] of preferences.entries()) {
      const value = attributeOf(info.node, preference) ?? "";
      let child = branch.children?.get(value);
      if (child === undefined) {
        child = this.#makeBranch(branch, level + 1 < preferences.length);
        branch.children?.set(value, child);
      }
      branch = child;
    }
    return branch;
  }

  #makeBranch(parent: Branch | undefined, isFork: boolean): Branch {
    const id = this.#branches.length;
    this.#branchSpace.reserve(id + 1);
    const heap = new IndexedHeap(isFork ? this.#branchSpace : this.#nodes);
    const children = isFork ? new Map<string, Branch>() : undefined;
    const branch: Branch = { id, parent, heap, children, taskCount: 0 };
    this.#branches.push(branch);
    return branch;
  }

  #add(leaf: Branch | undefined, count: number): void {
    for (let branch = leaf; branch !== undefined; branch = branch.parent) branch.taskCount += count;
  }

  /** A branch without a node that fits is out of the choice. */
  #rise(leaf: Branch): void {
    for (let branch = leaf; branch.parent !== undefined; branch = branch.parent) {
      const { heap } = branch.parent;
      if (branch.heap.size > 0) heap.set(branch.id, branch.taskCount);
      else heap.remove(branch.id);
    }
  }
}
