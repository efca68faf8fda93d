/**
 * A binary heap of nodes for one service: where it does not keep failing first,
 * then fewest tasks of the service, then fewest tasks, then lowest id.
 * Pure. Invariant: a node's counts do not change while it is inside.
 */
import type { NodeInfo } from "./node-info.js";

export class NodeHeap {
  readonly #items: NodeInfo[];
  readonly #serviceId: string;

  readonly #nowMs: number;

  constructor(infos: readonly NodeInfo[], options: { serviceId: string; nowMs: number }) {
    this.#serviceId = options.serviceId;
    this.#nowMs = options.nowMs;
    this.#items = [...infos].sort((a, b) => (this.#before(a, b) ? -1 : 1)); // a sorted array is a heap
  }

  get size(): number {
    return this.#items.length;
  }

  /** Removes and returns the first node. */
  take(): NodeInfo | undefined {
    const first = this.#items[0];
    const last = this.#items.pop();
    if (last === undefined || first === last) return first;
    this.#items[0] = last;
    this.#sink();
    return first;
  }

  push(info: NodeInfo): void {
    let at = this.#items.push(info) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfBefore(at, parent)) return;
      at = parent;
    }
  }

  #sink(): void {
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const right = left + 1;
      const [leftItem, rightItem] = [this.#items[left], this.#items[right]];
      if (leftItem === undefined) return;
      const child = rightItem !== undefined && this.#before(rightItem, leftItem) ? right : left;
      if (!this.#swapIfBefore(child, at)) return;
      at = child;
    }
  }

  /** Exchanges child and parent when the child belongs first. */
  #swapIfBefore(child: number, parent: number): boolean {
    const [lower, upper] = [this.#items[child], this.#items[parent]];
    if (lower === undefined || upper === undefined || !this.#before(lower, upper)) return false;
    this.#items[child] = upper;
    this.#items[parent] = lower;
    return true;
  }

  #before(a: NodeInfo, b: NodeInfo): boolean {
    const failing = b.isFailing(this.#serviceId, this.#nowMs);
    if (a.isFailing(this.#serviceId, this.#nowMs) !== failing) return failing;
    const byService = a.serviceCount(this.#serviceId) - b.serviceCount(this.#serviceId);
    if (byService !== 0) return byService < 0;
    return a.taskCount === b.taskCount ? a.id < b.id : a.taskCount < b.taskCount;
  }
}
