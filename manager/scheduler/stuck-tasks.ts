/**
 * Tasks that found no node, by what they ask for. A change of a node is shown to each kind of task, not to
 * each task, and only to kinds whose refusing filter looks at what changed; they are tried again when a node
 * accepts.
 * Pure. Invariant: a task is in one group at most; a group without tasks is forgotten.
 * Bound: past REFUSAL_BYTES_MAX a further kind remembers no refusals and is tried again at any change that
 * its filters look at.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { atOnce } from "../orchestrator/portions.js";
import type { FilterPipeline, Refusal } from "./filter.js";
import { EVERYTHING, NodeChange } from "./node-change.js";
import type { NodeSet } from "./node-set.js";
import type { Unplaced } from "./placement.js";
import { Refusals } from "./refusals.js";

const REFUSAL_BYTES_MAX = 64 * 1024 * 1024;
/** Between two chances to pause: well below a millisecond. */
const PORTION_LOOKS = 1_024;

interface StuckGroup {
  readonly key: string;
  readonly pipeline: FilterPipeline;
  readonly taskIds: Set<string>;
  /** The one node they name. */
  readonly nodeId: string | undefined;
  /** Undefined when nothing is remembered: the node is not there, or too much is remembered. */
  readonly refusals: Refusals | undefined;
  told: string;
}

/** What changes of nodes mean for the tasks that wait. */
export interface StuckNews {
  /** Groups that a node accepts now: their tasks, in order of id, until one finds no node again. */
  readonly open: readonly (readonly string[])[];
  /** Tasks whose reason has other words now. */
  readonly told: readonly { readonly taskIds: readonly string[]; readonly refusal: Refusal }[];
}

const NO_NEWS: StuckNews = { open: [], told: [] };

export class StuckTasks {
  readonly #set: NodeSet;
  readonly #groups = new Map<string, StuckGroup>();
  readonly #groupOf = new Map<string, StuckGroup>();
  #bytes = 0;
  #readTo: number;
  #evaluations = 0;
  /** Changes shown to groups. */
  #looks = 0;

  constructor(set: NodeSet) {
    this.#set = set;
    this.#readTo = set.journal.end;
  }

  get size(): number {
    return this.#groupOf.size;
  }

  /** How often filters were asked about a node for a kind of stuck task. */
  get evaluations(): number {
    return this.#evaluations;
  }

  has(taskId: string): boolean {
    return this.#groupOf.has(taskId);
  }

  add({ task, pipeline, reason }: Unplaced): void {
    const key = this.#keyOf(task, pipeline);
    if (this.#groupOf.get(task.id)?.key === key) return;
    this.remove(task.id);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = this.#make(key, task, pipeline, reason);
      this.#groups.set(key, group);
    }
    group.taskIds.add(task.id);
    this.#groupOf.set(task.id, group);
  }

  remove(taskId: string): void {
    const group = this.#groupOf.get(taskId);
    if (group === undefined) return;
    this.#groupOf.delete(taskId);
    group.taskIds.delete(taskId);
    if (group.taskIds.size > 0) return;
    this.#groups.delete(group.key);
    this.#bytes -= group.refusals?.bytes ?? 0;
  }

  /** Looks at what happened to the nodes since the last time. */
  read(): StuckNews {
    return atOnce(this.readInPortions());
  }

  /** The same, with chances to pause, in which nothing may happen to the node set. */
  *readInPortions(): Generator<void, StuckNews> {
    const { journal } = this.#set;
    if (this.#groups.size === 0) {
      this.#readTo = journal.end;
      return NO_NEWS;
    }
    const changes = new Map<number, number>();
    const known = journal.since(this.#readTo, (at, bits) => {
      changes.set(at, (changes.get(at) ?? 0) | bits);
    });
    this.#readTo = journal.end;
    if (!known) for (const { at } of this.#set.all()) changes.set(at, EVERYTHING);
    if (changes.size === 0) return NO_NEWS;
    const open: string[][] = [];
    const told: { taskIds: string[]; refusal: Refusal }[] = [];
    for (const group of this.#groups.values()) {
      const news = yield* this.#show(group, changes);
      if (news === "same") continue;
      const taskIds = [...group.taskIds].sort();
      if (news === "open") open.push(taskIds);
      else if (news.reason !== group.told) {
        group.told = news.reason;
        told.push({ taskIds, refusal: news });
      }
    }
    return { open, told };
  }

  /** Tasks of one key are accepted by the same nodes. */
  #keyOf(task: Task, pipeline: FilterPipeline): string {
    if (task.nodeId !== "") return `${pipeline.key}on ${task.nodeId} for ${task.replacesTaskId}`;
    const held = task.replacesTaskId !== "" && this.#set.nodeOf(task.replacesTaskId) !== undefined;
    return held ? `${pipeline.key}for ${task.replacesTaskId}` : pipeline.key;
  }

  #make(key: string, task: Task, pipeline: FilterPipeline, told: string): StuckGroup {
    const nodeId = task.nodeId === "" ? undefined : task.nodeId;
    const only = nodeId === undefined ? undefined : this.#set.get(nodeId);
    const isFull = this.#bytes >= REFUSAL_BYTES_MAX;
    let refusals: Refusals | undefined;
    if (!isFull && (nodeId === undefined || only !== undefined)) {
      const options = { exceptTaskId: task.replacesTaskId, ...(only === undefined ? {} : { only }) };
      refusals = new Refusals(this.#set, pipeline, options);
      this.#bytes += refusals.bytes;
    }
    return { key, pipeline, taskIds: new Set(), nodeId, refusals, told };
  }

  *#show(
    group: StuckGroup,
    changes: ReadonlyMap<number, number>,
  ): Generator<void, "same" | "open" | Refusal> {
    const { refusals, nodeId } = group;
    if (refusals === undefined) return this.#mayOpen(group, changes) ? "open" : "same";
    let changed = false;
    let opened = false;
    for (const [at, bits] of this.#concerning(nodeId, changes)) {
      this.#looks += 1;
      if (this.#looks % PORTION_LOOKS === 0) yield;
      if (!refusals.concerns(at, bits)) continue;
      this.#evaluations += 1;
      changed = refusals.update(at) || changed;
      // Also when it was so before: what it had may have been taken and given back since.
      opened ||= refusals.accepts(at);
    }
    if (opened) return "open";
    return changed && refusals.accepted === 0 ? refusals.explain() : "same";
  }

  #mayOpen({ pipeline, nodeId }: StuckGroup, changes: ReadonlyMap<number, number>): boolean {
    const looksAt = pipeline.filters.reduce((bits, filter) => bits | filter.looksAt, 0);
    for (const [, bits] of this.#concerning(nodeId, changes)) {
      if ((bits & looksAt & ~NodeChange.taken) !== 0) return true;
    }
    return false;
  }

  /** Of the one node that the tasks name: a global service may have a group for each of ten thousand. */
  #concerning(
    nodeId: string | undefined,
    changes: ReadonlyMap<number, number>,
  ): Iterable<readonly [at: number, bits: number]> {
    if (nodeId === undefined) return changes;
    const at = this.#set.get(nodeId)?.at;
    const bits = at === undefined ? undefined : changes.get(at);
    return at === undefined || bits === undefined ? [] : [[at, bits]];
  }
}
