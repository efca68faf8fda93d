/**
 * What the plan of one service is made from, and the collector of its steps.
 * Pure. Invariant: a plan depends on its input alone; ids and time are handed in.
 */
import type { Node, Service, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import { because, type CauseKind } from "./cause.js";
import { mustWaitFor } from "./restart-policy.js";
import type { Step } from "./steps.js";

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
  /** Since when the node is known to be down, ms since the epoch. */
  readonly downSinceMs: (nodeId: string) => number;
  /** When the task was first seen running, ms since the epoch; undefined when nobody saw it. */
  readonly runningSinceMs: (taskId: string) => number | undefined;
  readonly newTaskId: () => string;
}

export interface ServicePlan {
  readonly steps: readonly Step[];
  /** Plan again then, even if nothing changes. */
  readonly wakeAtMs: number | undefined;
}

export interface NewTaskOptions {
  readonly slot: number;
  readonly nodeId?: string;
  readonly replaces?: Task | undefined;
  readonly kind: CauseKind;
  readonly detail?: string;
  readonly desiredState?: TaskState;
  readonly jobIteration?: number;
}

/** A service that is there, with its steps as they gather. */
export class PlanBuilder {
  readonly input: PlanInput;
  readonly service: Service;
  readonly steps: Step[] = [];
  /** Tasks some step concerns: later parts of the same plan leave them alone. */
  readonly touched = new Set<string>();
  #wakeAtMs: number | undefined;

  constructor(input: PlanInput, service: Service) {
    this.input = input;
    this.service = service;
  }

  wakeAt(atMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs ?? atMs, atMs);
  }

  finish(): ServicePlan {
    return { steps: this.steps, wakeAtMs: this.#wakeAtMs };
  }

  desire(task: Task, state: TaskState): void {
    if (task.desiredState === state) return;
    this.touched.add(task.id);
    this.steps.push({ kind: "desire", taskId: task.id, state });
  }

  create(options: NewTaskOptions): void {
    this.steps.push({ kind: "create", task: this.newTask(options) });
  }

  /** Stops the old task and makes its successor, which waits for the old one's end when it still runs. */
  replace(old: Task, options: Omit<NewTaskOptions, "slot" | "replaces">): void {
    this.touched.add(old.id);
    const waits = mustWaitFor(old, this.input.node(old.nodeId));
    const task = this.newTask({
      desiredState: waits ? TaskState.READY : TaskState.RUNNING,
      ...options,
      slot: old.slot,
      replaces: old,
    });
    this.steps.push({ kind: "replace", oldTaskId: old.id, task });
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
      waits: [],
      stoppedBecause: "",
      startNotBeforeMs: 0,
      quickFailures: 0,
    };
  }
}
