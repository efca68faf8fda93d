/**
 * Keeps the newest status of each task on disk, for the next life of the daemon.
 * Pure over its state. Invariant: what is reported while a save runs goes into the next one;
 * per task the newest counts.
 */
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import type { AgentState } from "../state/agent-state.js";

export class StatusSaver {
  readonly #state: AgentState;
  readonly #loop: ComponentLoop;
  /** By task: what to save, undefined to forget. Never larger than the number of tasks. */
  readonly #unsaved = new Map<string, TaskStatusUpdate | undefined>();

  constructor(state: AgentState, log: Logger) {
    this.#state = state;
    this.#loop = new ComponentLoop({ name: "agent save", log, pass: () => this.#save() });
  }

  save(update: TaskStatusUpdate): void {
    this.#unsaved.set(update.taskId, update);
    this.#loop.wake();
  }

  forget(taskId: string): void {
    this.#unsaved.set(taskId, undefined);
    this.#loop.wake();
  }

  /** Saves what is left, then stops. */
  async close(): Promise<void> {
    await this.#loop.idle();
    await this.#loop.close();
  }

  async #save(): Promise<void> {
    const unsaved = [...this.#unsaved];
    this.#unsaved.clear();
    const updates = unsaved.flatMap(([, update]) => (update === undefined ? [] : [update]));
    if (updates.length > 0) await this.#state.saveStatuses(updates);
    for (const [taskId, update] of unsaved) if (update === undefined) await this.#state.removeStatus(taskId);
  }
}
