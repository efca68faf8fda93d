/**
 * The orchestrator: keeps for every service the tasks it should have.
 * One loop for replicated and global services, jobs, restarts, updates, node loss and the reaper, so that one
 * writer decides about a task.
 * Pure (store, clock and randomness are handed in).
 * Invariants: all it remembers beside the store are times it saw, which a new leader replaces by the times in
 * the store; planning never holds the event loop for much longer than a slice.
 */
import type { Clock } from "../../base/clock/clock.js";
import { codeOf, type ErrorCode, messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { nextTurn } from "../../base/loop/process-turn.js";
import { newId } from "../../base/random/ids.js";
import type { Random } from "../../base/random/random.js";
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { UpdateState } from "../../proto/gen/skein/v1/types.js";
import type { ReadTx, Store, StoreChange } from "../store/types.js";
import { DueServices, PORTION_CHANGES } from "./due-services.js";
import { ObservedTimes } from "./observed-times.js";
import { PORTION_SLOTS } from "./plan-replicated.js";
import { planServiceInSlices, planSlots } from "./plan-service.js";
import type { PlanInput } from "./service-plan.js";
import { executeStep, type Step } from "./steps.js";
import { type LoopInput, StoreLoop } from "./store-loop.js";
import { isTerminal, isUnassigned } from "./task-state.js";

export interface ControlLoopComponents {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** What the store answers to a step that contradicts other objects, whoever is right. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  "failed-precondition",
  "invalid-argument",
  "already-exists",
]);
const REFUSED_RETRY_MS = 5_000;
/** Nothing may hold the event loop for more than 20 ms; a portion of a plan comes on top. */
const SLICE_MS = 6;
const HISTORY_LIMIT_DEFAULT = 5;
const ORPHAN_AFTER_DEFAULT_MS = 5 * 60_000;
const DRAIN_DEADLINE_DEFAULT_MS = 10 * 60_000;

/** One pass's view of what all plans read; taken once. */
interface Surroundings {
  readonly nodes: readonly Node[];
  readonly nodesById: ReadonlyMap<string, Node>;
  readonly othersOn: (nodeId: string) => number;
  readonly settings: Pick<PlanInput, "historyLimit" | "orphanAfterMs" | "drainDeadlineMs">;
}

class Orchestrator {
  readonly #components: ControlLoopComponents;
  readonly #random: Random;
  readonly #draws: Random;
  readonly #times = new ObservedTimes();
  readonly #due = new DueServices(this.#times);

  constructor(components: ControlLoopComponents) {
    this.#components = components;
    this.#random = components.random.child("task-ids");
    this.#draws = components.random.child("restart-delays");
  }

  async pass(input: LoopInput, signal: AbortSignal): Promise<number | undefined> {
    const { clock } = this.#components;
    const nowMs = clock.nowMs();
    const steps: Step[] = [];
    let sliceEndMs = clock.monotonicMs() + SLICE_MS;
    for (const _portion of this.#work({ input, nowMs, steps })) {
      if (clock.monotonicMs() < sliceEndMs) continue;
      await nextTurn();
      if (signal.aborted) return undefined;
      sliceEndMs = clock.monotonicMs() + SLICE_MS;
    }
    if (steps.length > 0) await this.#execute(steps, signal);
    return this.#due.nextWakeAtMs;
  }

  /**
   * All steps together; one by one when the store refuses some,
   * so that one service cannot hold up the others.
   */
  async #execute(steps: readonly Step[], signal: AbortSignal): Promise<void> {
    const { store, log, clock } = this.#components;
    try {
      await store.batch(steps, executeStep, { signal });
      return;
    } catch (error) {
      if (!REFUSALS.has(codeOf(error))) throw error;
    }
    for (const step of steps) {
      try {
        await store.update((tx) => executeStep(tx, step), { signal });
      } catch (error) {
        if (!REFUSALS.has(codeOf(error))) throw error;
        log.warn("the store refused a step of the orchestrator", {
          step: step.kind,
          error: messageOf(error),
        });
        const serviceId =
          "task" in step ? step.task.serviceId : "serviceId" in step ? step.serviceId : undefined;
        if (serviceId !== undefined) this.#due.wakeAt(serviceId, clock.nowMs() + REFUSED_RETRY_MS);
      }
    }
  }

  /** Notes what happened, then plans what is due; yields after each portion. */
  *#work({ input, nowMs, steps }: { input: LoopInput; nowMs: number; steps: Step[] }): Generator<void, void> {
    const { store } = this.#components;
    yield* store.view((tx) => (input.reset ? this.#rebuild(tx) : this.#note(tx, input.changes, nowMs)));
    const { whole, slots } = this.#due.take(nowMs);
    const around = store.view((tx) => surroundings(tx));
    yield* this.#plan({ whole, slots, nowMs, steps, around });
  }

  *#rebuild(tx: ReadTx): Generator<void, void> {
    this.#times.clear();
    for (const node of tx.list("node")) this.#times.noteNode(node.id, node, node.meta?.updatedAtMs ?? 0);
    for (const [at, task] of tx.list("task").entries()) {
      this.#times.noteTask(task.id, task, task.meta?.updatedAtMs ?? 0);
      if (at % PORTION_CHANGES === 0) yield;
    }
    yield* this.#due.rebuild(tx);
  }

  *#note(tx: ReadTx, changes: readonly StoreChange[], nowMs: number): Generator<void, void> {
    for (const [at, change] of changes.entries()) {
      if (change.table === "node") this.#times.noteNode(change.id, change.after, nowMs);
      else if (change.table === "task") this.#times.noteTask(change.id, change.after, nowMs);
      this.#due.note(tx, change);
      if (at % PORTION_CHANGES === PORTION_CHANGES - 1) yield;
    }
  }

  *#plan(work: PlanWork): Generator<void, void> {
    for (const serviceId of work.whole) yield* this.#planWhole(serviceId, work);
    for (const [serviceId, keys] of work.slots) yield* this.#planSome(serviceId, keys, work);
  }

  /**
   * On the state of the moment at which its plan begins: a step checks again whether it is still called for.
   */
  *#planWhole(serviceId: string, work: PlanWork): Generator<void, void> {
    const input = this.#components.store.view((tx) => {
      const tasks = tx.list("task", { by: "serviceId", serviceId });
      return this.#input({ serviceId, service: tx.get("service", serviceId), tasks }, work);
    });
    const plan = yield* planServiceInSlices(input);
    for (const step of plan.steps) work.steps.push(step);
    this.#due.planned(serviceId, plan, { whole: true });
    yield;
  }

  /** Slots in which tasks changed, when that is all there is to it. */
  *#planSome(serviceId: string, slots: ReadonlySet<number>, work: PlanWork): Generator<void, void> {
    const { store } = this.#components;
    const service = store.view((tx) => tx.get("service", serviceId));
    const keys = [...slots].sort((a, b) => a - b);
    if (service === undefined || service.pendingDelete || isUpdating(service)) {
      yield* this.#planWhole(serviceId, work);
      return;
    }
    const steps: Step[] = [];
    for (let at = 0; at < keys.length; at += PORTION_SLOTS) {
      const portion = keys.slice(at, at + PORTION_SLOTS);
      const plan = store.view((tx) => {
        const tasks = portion.flatMap((slot) => tx.list("task", { by: "slot", serviceId, slot }));
        return planSlots(this.#input({ serviceId, service, tasks }, work));
      });
      if (plan === undefined) {
        yield* this.#planWhole(serviceId, work);
        return;
      }
      for (const step of plan.steps) steps.push(step);
      this.#due.planned(serviceId, plan, { whole: false });
      yield;
    }
    for (const step of steps) work.steps.push(step);
  }

  #input(
    own: { serviceId: string; service: Service | undefined; tasks: readonly Task[] },
    { nowMs, around }: PlanWork,
  ): PlanInput {
    return {
      ...own,
      ...around.settings,
      nodes: around.nodes,
      node: (id) => around.nodesById.get(id),
      nowMs,
      downSinceMs: (nodeId) => this.#times.downSinceMs(nodeId) ?? nowMs,
      drainSinceMs: (nodeId) => this.#times.drainSinceMs(nodeId) ?? nowMs,
      othersOn: around.othersOn,
      runningSinceMs: (taskId) => this.#times.runningSinceMs(taskId),
      newTaskId: () => newId(this.#random),
      draw: () => this.#draws.float(),
    };
  }
}

/** What one pass plans, and where its steps gather. */
interface PlanWork {
  readonly whole: readonly string[];
  readonly slots: ReadonlyMap<string, ReadonlySet<number>>;
  readonly nowMs: number;
  readonly around: Surroundings;
  readonly steps: Step[];
}

function isUpdating({ updateStatus }: Service): boolean {
  return updateStatus?.state === UpdateState.UPDATING || updateStatus?.state === UpdateState.ROLLBACK_STARTED;
}

function surroundings(tx: ReadTx): Surroundings {
  const spec = tx.list("cluster")[0]?.spec;
  const nodes = tx.list("node");
  const counts = new Map<string, number>();
  return {
    nodes,
    nodesById: new Map(nodes.map((node) => [node.id, node])),
    othersOn: (nodeId) => {
      const count = counts.get(nodeId) ?? countOthers(tx, nodeId);
      counts.set(nodeId, count);
      return count;
    },
    settings: {
      historyLimit: spec?.taskHistoryRetentionLimit ?? HISTORY_LIMIT_DEFAULT,
      orphanAfterMs: spec?.orphanAfterMs || ORPHAN_AFTER_DEFAULT_MS,
      drainDeadlineMs: spec?.drainDeadlineMs || DRAIN_DEADLINE_DEFAULT_MS,
    },
  };
}

/** Tasks that may still run on the node and are not there because of the node. */
function countOthers(tx: ReadTx, nodeId: string): number {
  return tx.list("task", { by: "nodeId", nodeId }).filter((task) => {
    if (task.attached !== undefined) return false; // stays as long as its container does
    const mode = tx.get("service", task.serviceId)?.spec?.mode?.$case;
    return mode !== "global" && mode !== "globalJob" && !isTerminal(task) && !isUnassigned(task);
  }).length;
}

export function createOrchestrator(components: ControlLoopComponents): StoreLoop {
  const orchestrator = new Orchestrator(components);
  return new StoreLoop({
    ...components,
    name: "orchestrator",
    tables: ["service", "task", "node", "cluster"],
    pass: (input, signal) => orchestrator.pass(input, signal),
  });
}
