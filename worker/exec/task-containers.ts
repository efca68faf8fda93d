/**
 * Which container belongs to which task, kept up from the container manager's events.
 * Pure. Invariant: a look-up costs O(1); a container of a task made before a restart is found by its label.
 */
import type { ContainerRecord, TaskContainerManager } from "../containers/container-manager.js";
import { TASK_ID_LABEL } from "./task-names.js";

export class TaskContainers {
  readonly #containers: TaskContainerManager;
  readonly #ids = new Map<string, string>();
  readonly #stopListening: () => void;

  constructor(containers: TaskContainerManager) {
    this.#containers = containers;
    for (const record of containers.list()) this.#note(record);
    this.#stopListening = containers.onEvent((event) => {
      if (event.kind === "create") this.#note(event.container);
      if (event.kind === "destroy") this.#forget(event.container);
    });
  }

  find(taskId: string): ContainerRecord | undefined {
    const id = this.#ids.get(taskId);
    return id === undefined ? undefined : this.#containers.find(id);
  }

  created(taskId: string, containerId: string): void {
    this.#ids.set(taskId, containerId);
  }

  removed(taskId: string): void {
    this.#ids.delete(taskId);
  }

  taskIds(): readonly string[] {
    return [...this.#ids.keys()];
  }

  close(): void {
    this.#stopListening();
  }

  #note(record: ContainerRecord): void {
    const taskId = record.specification.labels[TASK_ID_LABEL];
    if (taskId !== undefined && taskId !== "") this.#ids.set(taskId, record.id);
  }

  #forget(record: ContainerRecord): void {
    const taskId = record.specification.labels[TASK_ID_LABEL];
    if (taskId !== undefined && this.#ids.get(taskId) === record.id) this.#ids.delete(taskId);
  }
}
