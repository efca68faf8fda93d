/**
 * The scheduler: gives every allocated, pending task a node,
 * or says on the task why there is none and tries again when nodes or what they hold have changed.
 * Pure (the store is handed in). Invariant: after a pass the node set equals the store,
 * whatever became of the writes.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import type { ControlLoopComponents } from "../orchestrator/orchestrator-loop.js";
import { type LoopInput, StoreLoop } from "../orchestrator/store-loop.js";
import { isTerminal, isWanted, observedState } from "../orchestrator/task-state.js";
import type { ReadTx, StoreChange, WriteTx } from "../store/types.js";
import { NodeSet } from "./node-set.js";
import { type Placed, placeTasks, type Unplaced } from "./placement.js";

export const NO_NODE_CAUSE = "no-suitable-node";

type Decision = ({ readonly kind: "placed" } & Placed) | ({ readonly kind: "unplaced" } & Unplaced);

class Scheduler {
  readonly #components: ControlLoopComponents;
  #set = new NodeSet();
  /** Tasks to try in the next pass. */
  readonly #due = new Set<string>();
  /** Tasks that found no node: tried again when something was freed or a node changed. */
  readonly #stuck = new Set<string>();

  constructor(components: ControlLoopComponents) {
    this.#components = components;
  }

  async pass(input: LoopInput, signal: AbortSignal): Promise<undefined> {
    const { store } = this.#components;
    const decisions = store.view((tx) => {
      if (input.reset) this.#rebuild(tx);
      else for (const change of input.changes) this.#note(tx, change);
      return this.#decide(tx);
    });
    if (decisions.length === 0) return undefined;
    await store.batch(decisions, (tx, decision) => this.#write(tx, decision), { signal });
    store.view((tx) => {
      for (const { task } of decisions) this.#syncTask(tx, task.id);
    });
    return undefined;
  }

  #rebuild(tx: ReadTx): void {
    this.#due.clear();
    this.#stuck.clear();
    this.#set = NodeSet.from(tx.list("node"), tx.list("task"));
    for (const task of tx.list("task")) if (isSchedulable(task)) this.#due.add(task.id);
  }

  #note(tx: ReadTx, change: StoreChange): void {
    if (change.table === "node") {
      const node = tx.get("node", change.id);
      const isNew = this.#set.get(change.id) === undefined;
      const tasks = isNew ? tx.list("task", { by: "nodeId", nodeId: change.id }) : [];
      this.#set.syncNode(change.id, node, tasks);
      this.#retry();
    } else if (change.table === "task") {
      const { before, after } = change;
      if (after !== undefined && before !== undefined && !isTerminal(before)) this.#set.noteFailure(after);
      this.#syncTask(tx, change.id);
    }
  }

  #syncTask(tx: ReadTx, id: string): void {
    const task = tx.get("task", id);
    const freed = this.#set.syncTask(id, task);
    if (freed) this.#retry();
    if (task === undefined || !isSchedulable(task)) {
      this.#due.delete(id);
      this.#stuck.delete(id);
    } else if (!this.#stuck.has(id)) this.#due.add(id);
  }

  #retry(): void {
    for (const id of this.#stuck) this.#due.add(id);
    this.#stuck.clear();
  }

  #decide(tx: ReadTx): readonly Decision[] {
    this.#set.nowMs = this.#components.clock.nowMs();
    const tasks: Task[] = [];
    for (const id of [...this.#due].sort()) {
      const task = tx.get("task", id);
      if (task !== undefined && isSchedulable(task)) tasks.push(task);
    }
    this.#due.clear();
    tasks.sort((a, b) =>
      a.serviceId === b.serviceId ? a.slot - b.slot : a.serviceId < b.serviceId ? -1 : 1,
    );
    const { placed, unplaced } = placeTasks(this.#set, tasks);
    for (const { task } of unplaced) this.#stuck.add(task.id);
    const told = unplaced.filter(({ task, reason }) => task.status?.err !== reason);
    return [
      ...placed.map((one) => ({ kind: "placed", ...one }) as const),
      ...told.map((one) => ({ kind: "unplaced", ...one }) as const),
    ];
  }

  #write(tx: WriteTx, decision: Decision): void {
    const task = tx.get("task", decision.task.id);
    if (task?.status === undefined || !isSchedulable(task)) return;
    const timestampMs = this.#components.clock.nowMs();
    if (decision.kind === "unplaced") {
      const { reason } = decision;
      tx.update("task", {
        ...task,
        status: { ...task.status, timestampMs, message: reason, err: reason, cause: NO_NODE_CAUSE },
      });
      return;
    }
    if (task.nodeId !== "" && task.nodeId !== decision.nodeId) return;
    tx.update("task", {
      ...task,
      nodeId: decision.nodeId,
      assignedGenericResources: decision.generic,
      status: {
        ...task.status,
        timestampMs,
        state: TaskState.ASSIGNED,
        message: "assigned to a node",
        err: "",
        cause: "",
      },
    });
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
    tables: ["node", "task"],
    pass: (input, signal) => scheduler.pass(input, signal),
  });
}
