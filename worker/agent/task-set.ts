/**
 * The tasks of this node, each with its manager, and the secrets and configs they may use.
 * Pure. Invariant: a task has at most one manager;
 * data of secrets is in memory only while some task refers to it.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { Logger } from "../../base/log/logger.js";
import type { Random } from "../../base/random/random.js";
import type { TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import { ResourceKind } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Secret, Task } from "../../proto/gen/skein/v1/objects.js";
import { TaskState } from "../../proto/gen/skein/v1/types.js";
import type { Executor, TaskDependencies } from "../exec/controller.js";
import { rank } from "../exec/task-machine.js";
import type { AssignmentBook } from "./assignment-book.js";
import { AwaitedSecrets } from "./awaited-secrets.js";
import { TaskManager } from "./task-manager.js";

export interface TaskSetComponents {
  readonly executor: Executor;
  readonly book: AssignmentBook;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The stop signal of the task has to wait. */
  readonly isHeld: (taskId: string) => boolean;
  readonly onStatus: (update: TaskStatusUpdate) => void;
  readonly onGone: (taskId: string) => void;
}

export class TaskSet {
  readonly #components: TaskSetComponents;
  readonly #managers = new Map<string, TaskManager>();
  readonly #dependencies: TaskDependencies;
  readonly #awaited: AwaitedSecrets;
  readonly #listeners = new Set<(manager: TaskManager) => void>();
  #waiting: (() => void)[] = [];

  constructor(components: TaskSetComponents) {
    this.#components = components;
    const secret = (id: string): Secret | undefined => {
      const resource = components.book.get(ResourceKind.SECRET, id)?.resource;
      return resource?.$case === "secret" ? resource.value : undefined;
    };
    this.#awaited = new AwaitedSecrets(components.clock, { secret });
    this.#dependencies = {
      secret,
      settled: (task, options) => this.#awaited.settled(task, options),
      config: (id) => {
        const resource = components.book.get(ResourceKind.CONFIG, id)?.resource;
        return resource?.$case === "config" ? resource.value : undefined;
      },
    };
  }

  ids(): ReadonlySet<string> {
    return new Set(this.#managers.keys());
  }

  managers(): readonly TaskManager[] {
    return [...this.#managers.values()];
  }

  get(taskId: string): TaskManager | undefined {
    return this.#managers.get(taskId);
  }

  /** @returns what stops listening for new tasks. */
  onAdded(listener: (manager: TaskManager) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a task on, or tells its manager what changed. `saved` is what was known of it before a restart. */
  assign(task: Task, saved?: TaskStatusUpdate): void {
    const existing = this.#managers.get(task.id);
    if (existing !== undefined) {
      existing.update(task);
      return;
    }
    const stored = task.status;
    const newest = rank(saved?.status?.state ?? TaskState.NEW) >= rank(stored?.state ?? TaskState.NEW);
    const manager = new TaskManager({
      task,
      status: newest ? (saved?.status ?? stored) : stored,
      gatewayAddress: saved?.gatewayAddress ?? "",
      controller: this.#components.executor.controller(task, this.#dependencies),
      clock: this.#components.clock,
      random: this.#components.random,
      log: this.#components.log,
      isHeld: () => this.#components.isHeld(task.id),
      onStatus: this.#components.onStatus,
      onGone: (taskId) => {
        this.#managers.delete(taskId);
        this.#components.onGone(taskId);
        if (this.#managers.size > 0) return;
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const resolve of waiting) resolve();
      },
    });
    this.#managers.set(task.id, manager);
    for (const listener of this.#listeners) listener(manager);
  }

  unassign(taskId: string): void {
    this.#managers.get(taskId)?.unassign();
  }

  /** The book has changed: a secret that a task waits for may be in it. */
  told(): void {
    this.#awaited.changed();
  }

  /** All tasks that are not in the set go. */
  retain(taskIds: ReadonlySet<string>): void {
    for (const [taskId, manager] of this.#managers) if (!taskIds.has(taskId)) manager.unassign();
  }

  /** Resolves when no task is left. */
  empty(): Promise<void> {
    if (this.#managers.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Stops driving; containers go on. */
  async close(): Promise<void> {
    await Promise.all(this.managers().map((manager) => manager.close()));
  }
}
