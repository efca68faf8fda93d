/**
 * What the plan of one service is made from, and the collector of its steps.
 * Pure. Invariant: a plan depends on its input alone; ids, time and chance are handed in.
 */
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState, type TaskWait, UpdateOrder } from "../../proto/gen/skein/v1/types.js";
import { blockersAmong } from "./blockers.js";
import { because, type CauseKind, clockText, endOf, type StopKind } from "./cause.js";
import { mustWaitFor, type Restart, restartOf } from "./restart-policy.js";
import type { Step, WaitCause } from "./steps.js";
import { openWait } from "./task-account.js";
import { isWanted, stateRank } from "./task-state.js";

export interface PlanInput {
  readonly serviceId: string;
  /** Absent when the service is gone and only its tasks are left. */
  readonly service: Service | undefined;
  readonly tasks: readonly Task[];
  /** Every node, in order of id. */
  readonly nodes: readonly Node[];
  readonly node: (id: string) => Node | undefined;
  readonly nowMs: number;
  /** Finished tasks kept per slot, the current one counted; below 0: all. */
  readonly historyLimit: number;
  readonly orphanAfterMs: number;
  /** From the drain of a node until its tasks are stopped anyway, unless the node has its own. */
  readonly drainDeadlineMs: number;
  /** Since when the node is known to be down, ms since the epoch. */
  readonly downSinceMs: (nodeId: string) => number;
  /** Since when the node is being drained, ms since the epoch. */
  readonly drainSinceMs: (nodeId: string) => number;
  /** Tasks that may still run on the node and are not of global services: those leave a drained node last. */
  readonly othersOn: (nodeId: string) => number;
  /** When the task was first seen running, ms since the epoch; undefined when nobody saw it. */
  readonly runningSinceMs: (taskId: string) => number | undefined;
  readonly newTaskId: () => string;
  /** Uniform over [0, 1). */
  readonly draw: () => number;
}

export interface ServicePlan {
  readonly steps: readonly Step[];
  /** Plan again then, even if nothing changes. */
  readonly wakeAtMs: number | undefined;
  /** Some task waits for any node that could take it: plan again when a node comes. */
  readonly waitsForNodes: boolean;
}

/** Why something happens to a task: the first word, and what follows it. */
export interface Cause<K extends string = CauseKind> {
  readonly kind: K;
  readonly detail?: string;
}

/** All tasks of a slot, newest first. */
type Slotted = readonly Task[];

export interface NewTaskOptions extends Cause {
  readonly slot: number;
  readonly nodeId?: string;
  readonly replaces?: Task | undefined;
  readonly desiredState?: TaskState;
  readonly jobIteration?: number;
  readonly startNotBeforeMs?: number;
  readonly quickFailures?: number;
  readonly waits?: readonly TaskWait[];
}

/** A service that is there, with its steps as they gather. */
export class PlanBuilder {
  readonly input: PlanInput;
  readonly service: Service;
  readonly steps: Step[] = [];
  /** Tasks some step concerns: later parts of the same plan leave them alone. */
  readonly touched = new Set<string>();
  waitsForNodes = false;
  #leaving: ReadonlyMap<number, readonly Task[]> | undefined;
  #wakeAtMs: number | undefined;

  constructor(input: PlanInput, service: Service) {
    this.input = input;
    this.service = service;
  }

  /** New tasks may run beside the old ones of their slot. */
  get startFirst(): boolean {
    return this.service.spec?.update?.order === UpdateOrder.START_FIRST;
  }

  /** Which specification a step was planned for. */
  get judged(): { readonly serviceId: string; readonly specVersionIndex: number } {
    return { serviceId: this.service.id, specVersionIndex: this.service.specVersion?.index ?? 0 };
  }

  wakeAt(atMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs ?? atMs, atMs);
  }

  finish(): ServicePlan {
    return { steps: this.steps, wakeAtMs: this.#wakeAtMs, waitsForNodes: this.waitsForNodes };
  }

  /** Tells the task to stop, or to vanish, unless it was told so before. */
  stop(
    task: Task,
    why: Cause<StopKind>,
    state: typeof TaskState.SHUTDOWN | typeof TaskState.REMOVE = TaskState.SHUTDOWN,
  ): void {
    if (stateRank(task.desiredState) >= stateRank(state) || this.touched.has(task.id)) return;
    this.#desire(task, state, because(why.kind, why.detail));
  }

  /** READY → RUNNING, or COMPLETE for a job's task. */
  start(task: Task, state: TaskState = TaskState.RUNNING): void {
    this.#desire(task, state, "");
  }

  #desire(task: Task, state: TaskState, why: string): void {
    this.touched.add(task.id);
    this.steps.push({ kind: "desire", taskId: task.id, state, because: why, nowMs: this.input.nowMs });
  }

  /** Notes on the task what it waits for; without words, that it waits no longer. */
  wait(task: Task, cause: WaitCause, message: string): void {
    const open = openWait(task, cause);
    if (this.touched.has(task.id) || (open?.message ?? "") === message) return;
    this.steps.push({ kind: "wait", taskId: task.id, cause, message, nowMs: this.input.nowMs });
  }

  create(options: NewTaskOptions): void {
    this.steps.push({ kind: "create", task: this.newTask(options) });
  }

  /**
   * Stops the old task and makes its successor, which waits until nothing runs any more that may not run
   * beside
   * it.
   */
  replace(
    old: Task,
    options: Omit<NewTaskOptions, "slot" | "replaces"> & { readonly slotTasks: Slotted },
  ): void {
    const { slotTasks, ...given } = options;
    this.touched.add(old.id);
    const task = this.newTask(this.#heldBack({ ...given, slot: old.slot, replaces: old }, slotTasks, old));
    const why = because(options.kind, options.detail); // the old one stops for what the new one was made for
    this.steps.push({ kind: "replace", oldTaskId: old.id, task, because: why, nowMs: this.input.nowMs });
  }

  /**
   * Tasks of a slot that was given up, but may still run: should the slot be wanted again, they stop
   * first; all but one when the service starts first.
   */
  leaving(slot: number): readonly Task[] {
    this.#leaving ??= groupLeaving(this.input);
    return this.#leaving.get(slot) ?? [];
  }

  /** A task in a slot that has none; it waits for what was given up and still runs. */
  begin(slot: number, why: Cause): void {
    this.createBeside([], { slot, ...why });
  }

  /** A task in a slot that has others: it waits for those that may not run beside it. */
  createBeside(slotTasks: Slotted, options: NewTaskOptions): void {
    const { replaces } = options;
    const before = replaces !== undefined && !isWanted(replaces) ? replaces : undefined;
    this.create(this.#heldBack(options, slotTasks, before));
  }

  /**
   * With desired state READY when something must have stopped before the new task starts.
   * @param before what it replaces, when that stops.
   */
  #heldBack(options: NewTaskOptions, slotTasks: Slotted, before: Task | undefined): NewTaskOptions {
    const others = [...slotTasks, ...this.leaving(options.slot)];
    const mayRun = (task: Task): boolean => mustWaitFor(task, this.input.node(task.nodeId));
    const blockers = blockersAmong(others, { startFirst: this.startFirst, mayRun, before });
    const blocker = before !== undefined && blockers.includes(before) ? before : blockers[0];
    if (blocker === undefined) return options;
    const waits = options.waits ?? [this.#waitFor("predecessor", this.waitsFor(blocker))];
    return { ...options, desiredState: TaskState.READY, waits };
  }

  /** In words, what a task that is held back for another waits for. */
  waitsFor(old: Task): string {
    return `waits for the task before it on ${nodeName(this.input.node(old.nodeId))}`;
  }

  /** Makes the successor of a task that ended, which starts after the delay its policy asks for. */
  restart(
    old: Task,
    options: {
      readonly nodeId: string;
      readonly running: TaskState;
      readonly slotTasks: Slotted;
      readonly jobIteration?: number;
    },
  ): void {
    const { nowMs, draw } = this.input;
    const { nodeId, running, slotTasks, jobIteration = 0 } = options;
    const runningSinceMs = this.input.runningSinceMs(old.id);
    const restart = restartOf(old, { runningSinceMs, nowMs, draw });
    const startNotBeforeMs = restart.delayMs > 0 ? nowMs + restart.delayMs : 0;
    this.replace(old, {
      nodeId,
      slotTasks,
      kind: "restart",
      detail: restartDetail(old, restart),
      desiredState: startNotBeforeMs > 0 ? TaskState.READY : running,
      startNotBeforeMs,
      quickFailures: restart.quickFailures,
      ...(startNotBeforeMs > 0 ? { waits: [this.#delayWait(old, restart, startNotBeforeMs)] } : {}),
      jobIteration,
    });
    if (startNotBeforeMs > 0) this.wakeAt(startNotBeforeMs);
  }

  #delayWait(old: Task, restart: Restart, untilMs: number): TaskWait {
    const what = isRejected(old) ? "tries again" : "starts";
    const after = restart.quickFailures > 1 ? ` after ${restart.quickFailures} failures in a row` : "";
    const seconds = Math.round(restart.delayMs / 100) / 10;
    return this.#waitFor(
      "restart-delay",
      `${what} at ${clockText(untilMs)}, ${seconds} s${after || " after its predecessor"}: ${endOf(old)}`,
    );
  }

  #waitFor(cause: WaitCause, message: string): TaskWait {
    return { cause, message, sinceMs: this.input.nowMs, untilMs: 0, refusals: [] };
  }

  newTask(options: NewTaskOptions): Task {
    const { service } = this;
    return {
      id: this.input.newTaskId(),
      meta: undefined,
      spec: service.spec?.task,
      specVersion: service.specVersion,
      serviceId: service.id,
      slot: options.slot,
      nodeId: options.nodeId ?? "",
      serviceAnnotations: service.spec?.annotations,
      status: {
        timestampMs: this.input.nowMs,
        state: TaskState.NEW,
        message: "created",
        err: "",
        cause: "",
        container: undefined,
        hostPorts: [],
        health: "",
        phases: [],
      },
      desiredState: options.desiredState ?? TaskState.RUNNING,
      networks: [],
      gatewayAddress: "",
      endpoint: { spec: service.spec?.endpoint, ports: [], virtualIps: [] },
      jobIteration: options.jobIteration ?? 0,
      replacesTaskId: options.replaces?.id ?? "",
      createdBecause: because(options.kind, options.detail),
      allocated: false,
      assignedGenericResources: [],
      waits: options.waits ?? [],
      stoppedBecause: "",
      startNotBeforeMs: options.startNotBeforeMs ?? 0,
      quickFailures: options.quickFailures ?? 0,
      attached: undefined,
    };
  }
}

function groupLeaving({ tasks, node }: PlanInput): ReadonlyMap<number, readonly Task[]> {
  const groups = new Map<number, Task[]>();
  for (const task of tasks) {
    if (task.desiredState !== TaskState.REMOVE || task.slot === 0) continue;
    if (!mustWaitFor(task, node(task.nodeId))) continue;
    groups.set(task.slot, [...(groups.get(task.slot) ?? []), task]);
  }
  return groups;
}

function isRejected(task: Task): boolean {
  return task.status?.state === TaskState.REJECTED;
}

/** "exit code 1, after 3 failures in a row" */
function restartDetail(old: Task, { quickFailures }: Restart): string {
  return quickFailures > 1 ? `${endOf(old)}, after ${quickFailures} failures in a row` : endOf(old);
}

export function nodeName(node: Node | undefined): string {
  return node?.description?.hostname || (node?.id ?? "a node that is gone");
}

/** "web.2 on host1", "web.2", for a global service "web on host1". */
export function taskTitle(plan: PlanBuilder, task: Task): string {
  const name = plan.service.spec?.annotations?.name || plan.service.id;
  const title = task.slot === 0 ? name : `${name}.${task.slot}`;
  return task.nodeId === "" ? title : `${title} on ${nodeName(plan.input.node(task.nodeId))}`;
}

/** A task that READY holds back: when its own delay ends, ms since the epoch; 0: at once. */
export function dueAtMs(task: Task): number {
  return task.startNotBeforeMs;
}
