/**
 * The open ears of agents at this manager: one stream for each node, on which it is told what is asked of it.
 * Pure (streams are handed in). Invariant: one ear for a node; a newer one ends the older.
 */
import type { LogSubscription } from "../../proto/gen/skein/v1/logs.js";

/** An agent's open ear. */
export interface NodeListener {
  send(order: LogSubscription): void;
  end(error?: Error): void;
}

export class NodeListeners {
  readonly #listeners = new Map<string, NodeListener>();
  readonly #hooks = new Set<(nodeId: string) => void>();

  get(nodeId: string): NodeListener | undefined {
    return this.#listeners.get(nodeId);
  }

  add(nodeId: string, listener: NodeListener): { closed(): void } {
    this.#listeners.get(nodeId)?.end();
    this.#listeners.set(nodeId, listener);
    for (const hook of [...this.#hooks]) hook(nodeId);
    return {
      closed: () => {
        if (this.#listeners.get(nodeId) === listener) this.#listeners.delete(nodeId);
      },
    };
  }

  /** Calls back when a node has begun to listen. @returns the way to stop that. */
  onListening(hook: (nodeId: string) => void): () => void {
    this.#hooks.add(hook);
    return () => {
      this.#hooks.delete(hook);
    };
  }

  close(): void {
    for (const listener of [...this.#listeners.values()]) listener.end();
    this.#listeners.clear();
    this.#hooks.clear();
  }
}
