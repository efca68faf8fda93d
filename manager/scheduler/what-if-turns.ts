/**
 * Which tasks of a service would end and which would be made under a supposition: the orchestrator's own
 * judgement of slots, carried to its end instead of one step at a time.
 * Pure. Invariant: each task there is is in one turn at most.
 */
import { type Node, type Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState, TaskState, UpdateOrder } from "../../proto/gen/skein/v1/types.js";
import { chooseRemovals } from "../orchestrator/plan-replicated.js";
import { displacedBecause, groupBySlot, lostBecause, makeSlot, type Slot } from "../orchestrator/slot.js";
import { isTerminal, isUnassigned, isWanted, observedState } from "../orchestrator/task-state.js";
import { satisfiesPlacement } from "./constraint.js";
import type { SupposedState } from "./what-if-question.js";

export type TurnKind = "create" | "scale" | "update" | "node" | "remove" | "pending";

/** One task's end, one task's beginning, or one in place of the other. */
export interface Turn {
  readonly kind: TurnKind;
  /** "n2 is drained", "2 to 5 replicas"; may be empty. */
  readonly detail: string;
  readonly service: Service;
  /** Slot of a replicated service or job; 0 for global ones. */
  readonly slot: number;
  /** The task that ends. */
  readonly before: Task | undefined;
  /** The task that is made, or waits for a node already; it names its node when it belongs to one. */
  readonly after: Task | undefined;
  /** The new task starts while the old one runs, and so must find room beside it. */
  readonly startFirst: boolean;
}

const EMPTY_TASK = Task.fromPartial({});

/** @param tasks all there are of the service. */
export function turnsOf(service: Service, tasks: readonly Task[], state: SupposedState): readonly Turn[] {
  const mode = service.spec?.mode;
  const turns = new Turns(service, state);
  switch (mode?.$case) {
    case "replicated":
      replicated(turns, tasks, mode.value.replicas);
      break;
    case "replicatedJob": {
      const total = mode.value.totalCompletions || mode.value.maxConcurrent || 1;
      replicatedJob(turns, ofThisRun(turns, tasks), Math.min(total, mode.value.maxConcurrent || total));
      break;
    }
    case "global":
      global(turns, tasks);
      break;
    case "globalJob":
      global(turns, ofThisRun(turns, tasks));
      break;
    case undefined:
      break;
  }
  return turns.made;
}

/** The service is removed: all its tasks end. */
export function endTurns(service: Service, tasks: readonly Task[], state: SupposedState): readonly Turn[] {
  const turns = new Turns(service, state);
  turns.endAll(tasks, "remove", "the service is removed");
  return turns.made;
}

function replicated(turns: Turns, tasks: readonly Task[], replicas: number): void {
  const slots = turns.slots(tasks, (task) => task.slot).sort((a, b) => Number(a.key) - Number(b.key));
  const removed = new Set(chooseRemovals(slots, slots.length - replicas));
  const scale = `${slots.length} to ${replicas} replicas`;
  for (const slot of removed) turns.endAll(slot.tasks, "scale", scale);
  const kept = slots.filter((slot) => !removed.has(slot));
  for (const slot of kept) turns.keep(slot);
  const used = new Set(kept.map((slot) => slot.key));
  const first = slots.length === 0;
  for (let slot = 1, count = used.size; count < replicas; slot++) {
    if (used.has(slot)) continue;
    turns.begin({ kind: first ? "create" : "scale", detail: first ? "" : scale, slot });
    count++;
  }
}

/** A changed job runs again: what is left of the run before ends. */
function ofThisRun(turns: Turns, tasks: readonly Task[]): readonly Task[] {
  const iteration = turns.service.jobStatus?.iteration ?? 0;
  const former = tasks.filter((task) => task.jobIteration !== iteration);
  turns.endAll(former, "update", "the job runs again");
  return former.length === 0 ? tasks : tasks.filter((task) => task.jobIteration === iteration);
}

/** A job that ran is left alone, save that what runs of it moves when it must. */
function replicatedJob(turns: Turns, tasks: readonly Task[], concurrent: number): void {
  for (const slot of turns.slots(tasks, (task) => task.slot)) turns.keep(slot);
  if (tasks.length > 0) return;
  for (let slot = 0; slot < concurrent; slot++) turns.begin({ kind: "create", detail: "", slot });
}

function global(turns: Turns, tasks: readonly Task[]): void {
  const slots = new Map(turns.slots(tasks, (task) => task.nodeId).map((slot) => [slot.key, slot]));
  const kind = slots.size === 0 ? "create" : "node";
  for (const node of turns.state.nodes) {
    const slot = slots.get(node.id);
    slots.delete(node.id);
    const why = turnedAwayBecause(node, turns.service);
    if (why !== undefined) turns.endAll(slot?.tasks ?? [], "node", why);
    else if (slot !== undefined) turns.keep(slot, node.id);
    else if (node.spec?.availability !== NodeAvailability.PAUSE) {
      turns.begin({ kind, detail: "", slot: 0, nodeId: node.id });
    }
  }
  for (const [key, slot] of slots) turns.endAll(slot.tasks, "node", `${key} was removed`);
}

/** Why a global service has no task on the node; undefined when it has one. */
function turnedAwayBecause(node: Node, service: Service): string | undefined {
  const name = node.description?.hostname || node.id;
  if (node.status?.state === NodeState.DOWN) return `${name} is down`;
  if (node.spec?.availability === NodeAvailability.DRAIN) return `${name} is drained`;
  const meets = satisfiesPlacement(node, service.spec?.task?.placement);
  return meets ? undefined : `${name} does not meet the constraints`;
}

class Turns {
  readonly made: Turn[] = [];
  readonly service: Service;
  readonly state: SupposedState;

  constructor(service: Service, state: SupposedState) {
    this.service = service;
    this.state = state;
  }

  slots<K extends number | string>(tasks: readonly Task[], keyOf: (task: Task) => K): Slot[] {
    return [...groupBySlot(tasks, keyOf)].map(([key, own]) =>
      makeSlot(key, own, this.service, this.state.node),
    );
  }

  /** A good task is enough, though it may still wait for a node; one that must go gets a successor. */
  keep(slot: Slot, nodeId = ""): void {
    const good = slot.clean[0];
    if (good !== undefined) {
      const waits = isUnassigned(good) && observedState(good) !== TaskState.NEW;
      if (waits) this.#add({ kind: "pending", detail: "", slot: good.slot, after: good });
      return;
    }
    const old = slot.dirty[0] ?? slot.displaced[0] ?? slot.lost[0];
    if (old === undefined) return;
    const detail = this.#movesBecause(old);
    const isLost = slot.lost.includes(old);
    this.#add({
      kind: detail === undefined ? "update" : "node",
      detail: detail ?? "",
      slot: old.slot,
      before: old,
      after: this.#task({ slot: old.slot, nodeId, replaces: old.id }),
      startFirst: !isLost && this.service.spec?.update?.order === UpdateOrder.START_FIRST,
    });
  }

  begin(turn: Pick<Turn, "kind" | "detail" | "slot"> & { nodeId?: string }): void {
    const { kind, detail, slot, nodeId = "" } = turn;
    this.#add({ kind, detail, slot, after: this.#task({ slot, nodeId, replaces: "" }) });
  }

  endAll(tasks: readonly Task[], kind: TurnKind, detail: string): void {
    for (const before of tasks) {
      if (isWanted(before) && !isTerminal(before)) this.#add({ kind, detail, slot: before.slot, before });
    }
  }

  #add(turn: Pick<Turn, "kind" | "detail" | "slot"> & Partial<Turn>): void {
    const { service } = this;
    this.made.push({ service, before: undefined, after: undefined, startFirst: false, ...turn });
  }

  #movesBecause(old: Task): string | undefined {
    if (old.nodeId === "") return undefined;
    const node = this.state.node(old.nodeId);
    return lostBecause(old.nodeId, node) ?? (node && displacedBecause(old, node));
  }

  #task(options: { readonly slot: number; readonly nodeId: string; readonly replaces: string }): Task {
    const { service } = this;
    return {
      ...EMPTY_TASK,
      id: `what-if/${service.id}/${options.slot}/${options.nodeId}/${this.made.length}`,
      spec: service.spec?.task,
      specVersion: service.specVersion,
      serviceId: service.id,
      slot: options.slot,
      nodeId: options.nodeId,
      serviceAnnotations: service.spec?.annotations,
      status: { ...WAITING, phases: [] },
      desiredState: TaskState.RUNNING,
      endpoint: { spec: service.spec?.endpoint, ports: [], virtualIps: [] },
      replacesTaskId: options.replaces,
      allocated: true,
    };
  }
}

const WAITING = {
  timestampMs: 0,
  state: TaskState.PENDING,
  message: "",
  err: "",
  cause: "",
  container: undefined,
  hostPorts: [],
  health: "",
};
