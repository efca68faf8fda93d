/**
 * The scheduler: gives every allocated, pending task a node,
 * or says on the task why there is none and tries again when a node changed so that it may fit now.
 * Pure (the store is handed in). Invariants: when a pass decides, the node set is the store's as of the
 * pass's changes; after a pass it holds what was written, whatever became of the rest; a pass yields to the
 * event loop every few milliseconds.
 */
import { nextTurn } from "../../base/loop/process-turn.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeState, PlacementStrategy, TaskState } from "../../proto/gen/skein/v1/types.js";
import type { ControlLoopComponents } from "../orchestrator/orchestrator-loop.js";
import { type LoopInput, StoreLoop } from "../orchestrator/store-loop.js";
import { isTerminal, isUnassigned, isWanted, observedState } from "../orchestrator/task-state.js";
import type { ReadTx, StoreChange, WriteTx } from "../store/types.js";
import type { Refusal } from "./filter.js";
import { encryptedNetworkIn, ingressPortsOf, networkDriverIn } from "./network-driver.js";
import { NodeSet } from "./node-set.js";
import { type Placed, Placer } from "./placement.js";
import { SlotOrder } from "./slot-order.js";
import { StuckTasks } from "./stuck-tasks.js";
import { assignedTask, waitingTask } from "./task-verdict.js";

export { NO_NODE_CAUSE } from "./task-verdict.js";

/** Decisions written together: enough to fill transactions, few enough that the first tasks start soon. */
const SLICE_DECISIONS = 2_000;
/** Between two turns of the event loop. */
const SLICE_MS = 4;
/** Between two looks at the clock: a look costs about as much as an item of the cheapest kind. */
const ITEMS_PER_LOOK = 16;

type Decision =
  | { readonly kind: "placed"; readonly placed: Placed; isWritten: boolean }
  | { readonly kind: "refused"; readonly taskId: string; readonly refusal: Refusal };

class Scheduler {
  readonly #components: ControlLoopComponents;
  #set = new NodeSet();
  #placer = new Placer(this.#set);
  /** Tasks that found no node. */
  #stuck = new StuckTasks(this.#set);
  /** Tasks to try in the next pass, as they were when that was found. */
  readonly #due = new Map<string, Task>();
  #decisions: Decision[] = [];
  /** Lists of the store that something was derived from: they stay the same arrays while nothing changes. */
  #derivedFrom: readonly unknown[] = [];
  #sliceEndMs = 0;
  #looks = 0;

  constructor(components: ControlLoopComponents) {
    this.#components = components;
  }

  async pass(input: LoopInput, signal: AbortSignal): Promise<undefined> {
    const { clock } = this.#components;
    this.#sliceEndMs = clock.monotonicMs() + SLICE_MS;
    this.#decisions = [];
    if (input.reset) await this.#rebuild();
    else await this.#note(input.changes);
    this.#set.nowMs = clock.nowMs();
    this.#lookAround();
    const { open, told } = await this.#unhurried(this.#stuck.readInPortions(), signal);
    for (const { taskIds, refusal } of told) {
      for (const taskId of taskIds) {
        this.#decisions.push({ kind: "refused", taskId, refusal });
        if (this.#mustPause()) await this.#pause(signal);
      }
    }
    for (const taskIds of open) await this.#tryInTurn(taskIds, signal);
    for (const group of await this.#takeDue()) {
      for (const task of group.inOrder()) {
        this.#try(task);
        if (this.#mustPause()) await this.#pause(signal);
      }
    }
    await this.#flush(signal);
    return undefined;
  }

  async #rebuild(): Promise<void> {
    const { nodes, tasks } = this.#components.store.view((tx) => ({
      nodes: tx.list("node"),
      tasks: tx.list("task"),
    }));
    this.#set = new NodeSet();
    this.#placer = new Placer(this.#set);
    this.#stuck = new StuckTasks(this.#set);
    this.#derivedFrom = [];
    this.#due.clear();
    this.#lookAround();
    this.#placer.keepUp(); // from no nodes on, so that the order of all nodes is made in slices, too
    for (const node of nodes) {
      this.#set.syncNode(node.id, node);
      if (!this.#mustPause()) continue;
      this.#placer.keepUp();
      await this.#pause();
    }
    for (const task of tasks) {
      if (isSchedulable(task)) this.#due.set(task.id, task);
      else {
        this.#set.syncTask(task.id, task);
        this.#set.noteFailure(task);
      }
      if (this.#mustPause()) await this.#pause();
    }
  }

  async #note(changes: readonly StoreChange[]): Promise<void> {
    for (const change of changes) {
      if (change.table === "node") this.#components.store.view((tx) => this.#syncNode(tx, change.id));
      else if (change.table === "task") {
        const { before, after } = change;
        if (after !== undefined && before !== undefined && isTerminal(after) && !isTerminal(before)) {
          this.#set.noteFailure(after);
        }
        if (after === undefined || !this.#holdsAlready(after)) this.#syncTask(change.id);
      }
      if (this.#mustPause()) await this.#pause();
    }
  }

  #syncNode(tx: ReadTx, id: string): void {
    const isNew = this.#set.get(id) === undefined;
    const tasks = isNew ? tx.list("task", { by: "nodeId", nodeId: id }) : [];
    this.#set.syncNode(id, tx.get("node", id), tasks);
  }

  #syncTask(id: string): void {
    const task = this.#get(id);
    this.#set.syncTask(id, task);
    if (task === undefined || !isSchedulable(task)) {
      this.#due.delete(id);
      this.#stuck.remove(id);
    } else if (!this.#stuck.has(id)) this.#due.set(id, task);
  }

  /**
   * Most changes are statuses of tasks whose place is known, or what this scheduler wrote itself. Should the
   * store know better by now, that change is still to come.
   */
  #holdsAlready(task: Task): boolean {
    const info = this.#set.nodeOf(task.id);
    if (info === undefined || info.id !== task.nodeId) return false;
    if (isTerminal(task) || isUnassigned(task)) return false;
    return info.held.get(task.id)?.wanted === isWanted(task);
  }

  /** What filters look at beside nodes and tasks. */
  #lookAround(): void {
    const { store } = this.#components;
    const { cluster, networks, services } = store.view((tx) => ({
      cluster: tx.list("cluster"),
      networks: tx.list("network"),
      services: tx.list("service"),
    }));
    const [knownCluster, knownNetworks, knownServices] = this.#derivedFrom;
    if (cluster !== knownCluster || networks !== knownNetworks) {
      this.#placer.configure({
        strategy: cluster[0]?.spec?.placementStrategy ?? PlacementStrategy.DEFAULT,
        networkDriver: networkDriverIn(networks),
        encryptedNetwork: encryptedNetworkIn(networks),
      });
    }
    if (services !== knownServices) this.#set.setIngressPorts(ingressPortsOf(services));
    this.#derivedFrom = [cluster, networks, services];
  }

  async #takeDue(): Promise<Iterable<SlotOrder>> {
    const byService = new Map<string, SlotOrder>();
    for (const task of this.#due.values()) {
      const group = byService.get(task.serviceId);
      if (group === undefined) byService.set(task.serviceId, new SlotOrder(task));
      else group.add(task);
      if (this.#mustPause()) await this.#pause();
    }
    this.#due.clear();
    return byService.values();
  }

  /** What waits together is accepted together: when one finds no node, neither do those behind it. */
  async #tryInTurn(taskIds: readonly string[], signal: AbortSignal): Promise<void> {
    for (const id of taskIds) {
      const task = this.#get(id);
      if (task === undefined || !isSchedulable(task)) this.#stuck.remove(id);
      else if (!this.#try(task)) return;
      if (this.#mustPause()) await this.#pause(signal);
    }
  }

  /** @returns true when the task got a node. */
  #try(task: Task): boolean {
    const result = this.#placer.place(task);
    if (result.kind === "placed") {
      if (this.#stuck.size > 0) this.#stuck.remove(task.id);
      this.#decisions.push({ kind: "placed", placed: result, isWritten: false });
      return true;
    }
    this.#stuck.add(result);
    this.#decisions.push({ kind: "refused", taskId: task.id, refusal: result });
    return false;
  }

  /** Carries the work out, pausing where it may. */
  async #unhurried<T>(portions: Generator<void, T>, signal: AbortSignal): Promise<T> {
    for (let step = portions.next(); ; step = portions.next()) {
      if (step.done === true) return step.value;
      if (this.#mustPause()) await this.#pause(signal);
    }
  }

  #mustPause(): boolean {
    if (this.#decisions.length >= SLICE_DECISIONS) return true;
    this.#looks = (this.#looks + 1) % ITEMS_PER_LOOK;
    return this.#looks === 0 && this.#components.clock.monotonicMs() >= this.#sliceEndMs;
  }

  /** Writes what has gathered, or only lets others run. */
  async #pause(signal?: AbortSignal): Promise<void> {
    if (signal !== undefined && this.#decisions.length >= SLICE_DECISIONS) await this.#flush(signal);
    else await nextTurn();
    signal?.throwIfAborted();
    this.#sliceEndMs = this.#components.clock.monotonicMs() + SLICE_MS;
  }

  async #flush(signal: AbortSignal): Promise<void> {
    const decisions = this.#decisions;
    if (decisions.length === 0) return;
    this.#decisions = [];
    await this.#components.store.batch(decisions, (tx, decision) => this.#write(tx, decision), { signal });
    for (const decision of decisions) {
      // something else was written meanwhile: its change comes with the next pass
      if (decision.kind === "placed" && !decision.isWritten) this.#syncTask(decision.placed.task.id);
    }
  }

  #write(tx: WriteTx, decision: Decision): void {
    const nowMs = this.#components.clock.nowMs();
    if (decision.kind === "refused") {
      const waits = tx.get("task", decision.taskId);
      if (waits?.status === undefined || !isSchedulable(waits)) return;
      tx.update("task", waitingTask(waits, waits.status, decision.refusal, nowMs));
      return;
    }
    decision.isWritten = false;
    const { task: asked, nodeId, generic } = decision.placed;
    const task = tx.get("task", asked.id);
    if (task?.status === undefined || !isSchedulable(task)) return;
    if (task.nodeId !== "" && task.nodeId !== nodeId) return;
    if (tx.get("node", nodeId)?.status?.state !== NodeState.READY) return;
    tx.update("task", assignedTask(task, task.status, { nodeId, generic, nowMs }));
    decision.isWritten = true;
  }

  #get(taskId: string): Task | undefined {
    return this.#components.store.view((tx) => tx.get("task", taskId));
  }
}

function isSchedulable(task: Task): boolean {
  return task.allocated && observedState(task) === TaskState.PENDING && isWanted(task);
}

export function createScheduler(components: ControlLoopComponents): StoreLoop {
  const scheduler = new Scheduler(components);
  return new StoreLoop({
    ...components,
    name: "scheduler",
    tables: ["node", "task", "service"],
    pass: (input, signal) => scheduler.pass(input, signal),
  });
}
