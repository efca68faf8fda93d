/**
 * Tasks that were removed not long ago: their nodes keep the logs for a while, and somebody must know whom to
 * ask.
 * Pure. Bounded by number and time; beyond either the oldest is forgotten.
 */
import type { Task } from "../../proto/gen/skein/v1/objects.js";

export const REMOVED_TASKS_MAX = 1_000;
/** As long as a node keeps the logs. */
export const REMOVED_KEPT_MS = 15 * 60_000;

export class RemovedTasks {
  /** In order of removal. */
  readonly #tasks = new Map<string, { readonly task: Task; readonly atMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** One that never had a node has no logs. */
  note(task: Task): void {
    if (task.nodeId === "") return;
    this.#tasks.delete(task.id);
    this.#tasks.set(task.id, { task, atMs: this.#nowMs() });
    this.#forget();
  }

  get(taskId: string): Task | undefined {
    this.#forget();
    return this.#tasks.get(taskId)?.task;
  }

  /** Oldest first. */
  ofService(serviceId: string): readonly Task[] {
    return this.#filter((task) => task.serviceId === serviceId);
  }

  /**
   * What a person means by a task's id, a service's id or a service's name: of services that had the name,
   * the newest. Oldest first.
   */
  find(reference: string): readonly Task[] {
    const task = this.get(reference);
    if (task !== undefined) return [task];
    const byId = this.ofService(reference);
    if (byId.length > 0) return byId;
    const named = this.#filter((one) => one.serviceAnnotations?.name === reference);
    const newest = named.at(-1)?.serviceId;
    return named.filter(({ serviceId }) => serviceId === newest);
  }

  #filter(test: (task: Task) => boolean): readonly Task[] {
    this.#forget();
    return [...this.#tasks.values()].map(({ task }) => task).filter(test);
  }

  #forget(): void {
    const sinceMs = this.#nowMs() - REMOVED_KEPT_MS;
    for (const [id, { atMs }] of this.#tasks) {
      if (this.#tasks.size <= REMOVED_TASKS_MAX && atMs >= sinceMs) return;
      this.#tasks.delete(id);
    }
  }
}
