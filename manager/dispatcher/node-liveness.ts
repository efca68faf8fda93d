/**
 * Who is alive: instants of last words in, verdicts out.
 * Pure. Invariant: a node is pronounced down only after `downAfterMs` of silence under this leader,
 * longer by the grace while the leadership is new, because agents and followers need time to find it.
 */
export interface LivenessOptions {
  readonly nowMs: number;
  readonly downAfterMs: number;
  /** Extra silence forgiven after a leader change. */
  readonly graceMs: number;
}

export class NodeLiveness {
  readonly #deadlines = new Map<string, number>();
  readonly #graceUntilMs: number;

  constructor(options: LivenessOptions) {
    this.#graceUntilMs = options.nowMs + options.downAfterMs + options.graceMs;
  }

  /** The node was heard, or said that it would be back: it has this much time for its next word. */
  heard(nodeId: string, nowMs: number, downAfterMs: number): void {
    this.#deadlines.set(nodeId, nowMs + downAfterMs);
  }

  /** The node left, or is gone. */
  forget(nodeId: string): void {
    this.#deadlines.delete(nodeId);
  }

  /** Of the nodes expected to speak, those that have been silent for too long. In the order given. */
  silent(expectedNodeIds: readonly string[], nowMs: number): readonly string[] {
    return expectedNodeIds.filter((nodeId) => {
      const deadline = this.#deadlines.get(nodeId);
      return nowMs >= (deadline ?? this.#graceUntilMs);
    });
  }

  /** When to look next; undefined when nothing is due. */
  nextMs(expectedNodeIds: readonly string[]): number | undefined {
    let next: number | undefined;
    for (const nodeId of expectedNodeIds) {
      const at = this.#deadlines.get(nodeId) ?? this.#graceUntilMs;
      if (next === undefined || at < next) next = at;
    }
    return next;
  }
}
