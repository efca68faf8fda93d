/**
 * Drives one task through its life, one step at a time.
 * Pure: the controller and the clock are handed in. Invariants: never two steps at once;
 * a step that the assignment has overtaken is cancelled; closing leaves the container as it is.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { Backoff } from "../../base/loop/backoff.js";
import type { Random } from "../../base/random/random.js";
import type { TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState, type TaskStatus } from "../../proto/gen/skein/v1/types.js";
import type { Controller } from "../exec/controller.js";
import { failureOf } from "../exec/failure-cause.js";
import { nextStep, rank, type Step, type StepOutcome, statusAfter } from "../exec/task-machine.js";

type ControllerStep = Extract<Step, { kind: "prepare" | "start" | "wait" | "shutdown" | "remove" }>;

export interface TaskManagerOptions {
  readonly task: Task;
  /** What was last known here; the assignment's own status otherwise. */
  readonly status: TaskStatus | undefined;
  readonly gatewayAddress: string;
  readonly controller: Controller;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Its stop signal has to wait. */
  readonly isHeld: () => boolean;
  readonly onStatus: (update: TaskStatusUpdate) => void;
  /** Called once when the task was taken away and nothing is left of it. */
  readonly onGone: (taskId: string) => void;
}

export class TaskManager {
  readonly controller: Controller;
  readonly #options: TaskManagerOptions;
  readonly #backoff: Backoff;
  #task: Task;
  #status: TaskStatus;
  #gatewayAddress: string;
  #assigned = true;
  #removed = false;
  #closed = false;
  #current: { readonly kind: Step["kind"]; readonly abort: AbortController } | undefined;
  #wake: (() => void) | undefined;
  readonly #done: Promise<void>;
  readonly #watchers = new Set<() => void>();

  constructor(options: TaskManagerOptions) {
    this.#options = options;
    this.controller = options.controller;
    this.#task = options.task;
    this.#gatewayAddress = options.gatewayAddress || options.task.gatewayAddress;
    this.#status = options.status ?? options.task.status ?? emptyStatus();
    this.#backoff = new Backoff(options.random, { initialMs: 100, maxMs: 10_000 });
    this.#done = this.#run();
  }

  get task(): Task {
    return this.#task;
  }

  get status(): TaskStatusUpdate {
    return { taskId: this.#task.id, status: this.#status, gatewayAddress: this.#gatewayAddress };
  }

  /** Resolves when the task is in that state or past it, or the signal fires. */
  reached(state: TaskState, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!signal.aborted && rank(this.#status.state) < rank(state)) return;
        this.#watchers.delete(check);
        signal.removeEventListener("abort", check);
        resolve();
      };
      this.#watchers.add(check);
      signal.addEventListener("abort", check, { once: true });
      check();
    });
  }

  /** The manager changed its mind about the task. */
  update(task: Task): void {
    this.#task = task;
    this.#assigned = true;
    this.#overtake();
  }

  /** It is held no longer. */
  released(): void {
    this.#overtake();
  }

  /** The task is no longer this node's: it is stopped and removed. */
  unassign(): void {
    this.#assigned = false;
    this.#overtake();
  }

  /** Stops driving; the container goes on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#current?.abort.abort();
    this.#notify();
    await this.#done;
  }

  #step(): Step {
    return nextStep({
      observed: this.#status.state,
      desired: this.#task.desiredState,
      assigned: this.#assigned,
      removed: this.#removed,
      held: this.#options.isHeld(),
    });
  }

  #overtake(): void {
    const next = this.#step().kind;
    const current = this.#current;
    // Stopping and removing are never cut short: every later step would only repeat them.
    if (
      current !== undefined &&
      current.kind !== next &&
      current.kind !== "shutdown" &&
      current.kind !== "remove"
    ) {
      current.abort.abort();
    }
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // the owner finishes its turn first
    while (!this.#closed) {
      const step = this.#step();
      if (step.kind === "done") {
        this.#options.onGone(this.#task.id);
        return;
      }
      if (step.kind === "rest") await this.#changed();
      else if (step.kind === "report") this.#advance(step, { kind: "success" });
      else await this.#take(step);
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #take(step: ControllerStep): Promise<void> {
    const abort = new AbortController();
    this.#current = { kind: step.kind, abort };
    try {
      const failure = await this.#call(step, abort.signal);
      this.#backoff.reset();
      if (step.kind === "remove") this.#removed = true;
      else this.#advance(step, failure === undefined ? { kind: "success" } : { kind: "failure", failure });
    } catch (error) {
      if (abort.signal.aborted) return; // overtaken or closed: the next step follows from the assignment
      if (step.kind === "shutdown" || step.kind === "remove") await this.#pauseBeforeRetry(step, error);
      else this.#advance(step, { kind: "failure", failure: failureOf(error) });
    } finally {
      this.#current = undefined;
    }
  }

  async #call(step: ControllerStep, signal: AbortSignal): Promise<Awaited<ReturnType<Controller["wait"]>>> {
    const { controller } = this;
    switch (step.kind) {
      case "prepare":
        await controller.prepare({ signal });
        return undefined;
      case "start":
        await controller.start({ signal });
        return undefined;
      case "wait":
        return await controller.wait({ signal });
      case "shutdown":
        await controller.shutdown({ signal });
        return undefined;
      case "remove":
        await controller.remove({ signal });
        return undefined;
    }
  }

  async #pauseBeforeRetry(step: Step, error: unknown): Promise<void> {
    const { log, clock } = this.#options;
    log.warn("task step failed; trying again", {
      task: this.#task.id,
      step: step.kind,
      error: messageOf(error),
    });
    const delayMs = this.#backoff.nextMs();
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(delayMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /**
   * Takes over the outcome of a step, and with it the changes of state that need no work:
   * one report for all of them.
   */
  #advance(step: Step, outcome: StepOutcome): void {
    const { controller } = this;
    const facts = {
      container: controller.status(),
      hostPorts: controller.hostPorts(),
      health: controller.health(),
      stations: controller.stations?.(),
    };
    this.#gatewayAddress = controller.gatewayAddress() || this.#gatewayAddress;
    const nowMs = this.#options.clock.nowMs();
    this.#status = statusAfter(this.#status, step, { outcome, facts, nowMs });
    for (let next = this.#step(); next.kind === "report"; next = this.#step()) {
      this.#status = statusAfter(this.#status, next, { outcome: { kind: "success" }, facts, nowMs });
    }
    this.#options.onStatus(this.status);
    for (const check of [...this.#watchers]) check();
  }
}

function emptyStatus(): TaskStatus {
  return {
    timestampMs: 0,
    state: TaskState.ASSIGNED,
    message: "",
    err: "",
    cause: "",
    container: undefined,
    hostPorts: [],
    health: "",
    phases: [],
  };
}
