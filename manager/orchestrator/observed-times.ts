/**
 * When this leader saw things happen: nodes going down or into a drain, tasks coming to run.
 * Pure. Invariant: each has a substitute in the store, which a new leader begins with.
 */
import type { Node, Task } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeState } from "../../proto/gen/skein/v1/types.js";
import { isRunning } from "./task-state.js";

export class ObservedTimes {
  /** One entry per node that is down, per drained node, and per task that has run and is kept. */
  readonly #downSinceMs = new Map<string, number>();
  readonly #drainSinceMs = new Map<string, number>();
  readonly #runningSinceMs = new Map<string, number>();

  clear(): void {
    this.#downSinceMs.clear();
    this.#drainSinceMs.clear();
    this.#runningSinceMs.clear();
  }

  /** @param atMs when it happened, as far as anybody knows. */
  noteNode(id: string, node: Node | undefined, atMs: number): void {
    if (node?.status?.state !== NodeState.DOWN) this.#downSinceMs.delete(id);
    else if (!this.#downSinceMs.has(id)) this.#downSinceMs.set(id, atMs);
    if (node?.spec?.availability !== NodeAvailability.DRAIN) this.#drainSinceMs.delete(id);
    else if (node.drainStartedAtMs > 0) this.#drainSinceMs.set(id, node.drainStartedAtMs);
    else if (!this.#drainSinceMs.has(id)) this.#drainSinceMs.set(id, atMs);
  }

  noteTask(id: string, task: Task | undefined, atMs: number): void {
    if (task === undefined) this.#runningSinceMs.delete(id);
    else if (isRunning(task) && !this.#runningSinceMs.has(id)) this.#runningSinceMs.set(id, atMs);
  }

  downSinceMs(nodeId: string): number | undefined {
    return this.#downSinceMs.get(nodeId);
  }

  drainSinceMs(nodeId: string): number | undefined {
    return this.#drainSinceMs.get(nodeId);
  }

  isDrained(nodeId: string): boolean {
    return this.#drainSinceMs.has(nodeId);
  }

  runningSinceMs(taskId: string): number | undefined {
    return this.#runningSinceMs.get(taskId);
  }
}
