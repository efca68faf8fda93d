/**
 * The agent's state in memory: the twin of level-agent-state for tests. Pure.
 */

import type { NodeResource, TaskStatusUpdate } from "../../proto/gen/skein/v1/dispatcher.js";
import { keyOf, keyText } from "../agent/assignment-book.js";
import { type AgentState, type SavedAgent, type SavedChanges, storable } from "./agent-state.js";

export class MemoryAgentState implements AgentState {
  #resources = new Map<string, NodeResource>();
  readonly #statuses = new Map<string, TaskStatusUpdate>();
  #session: Pick<SavedAgent, "managers" | "node"> = { managers: [], node: undefined };
  #revision = 0;

  load(): Promise<SavedAgent> {
    return Promise.resolve({
      revision: this.#revision,
      resources: [...this.#resources.values()],
      statuses: [...this.#statuses.values()],
      ...this.#session,
    });
  }

  saveResources(changes: SavedChanges): Promise<void> {
    if (changes.complete) this.#resources = new Map();
    for (const key of changes.removals) this.#resources.delete(key);
    for (const upsert of changes.upserts) {
      const key = keyOf(upsert);
      const resource = storable(upsert);
      if (key !== undefined && resource !== undefined) this.#resources.set(keyText(key), resource);
    }
    this.#revision = changes.revision;
    return Promise.resolve();
  }

  saveStatuses(updates: readonly TaskStatusUpdate[]): Promise<void> {
    for (const update of updates) this.#statuses.set(update.taskId, update);
    return Promise.resolve();
  }

  removeStatus(taskId: string): Promise<void> {
    this.#statuses.delete(taskId);
    return Promise.resolve();
  }

  saveSession(session: Pick<SavedAgent, "managers" | "node">): Promise<void> {
    this.#session = { managers: session.managers, node: session.node };
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
