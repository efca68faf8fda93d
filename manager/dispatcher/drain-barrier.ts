/**
 * Where the managers meet before tasks are stopped: each says up to which revision its nodes have taken
 * stopping tasks out of traffic, and learns when the nodes of all have.
 * Pure.
 * Invariants: `tell` answers true only when every manager that vouches for nodes has told that revision or a
 * later one, and no node is on its way between managers; false once the time is over. At rest nothing is
 * kept but one number a manager.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { DRAIN_WAIT_MS } from "./drain-rounds.js";

export interface DrainBarrierComponents {
  readonly clock: Clock;
  /** Managers that vouch for nodes. */
  readonly managers: () => Iterable<string>;
  /** Some node is up and nobody vouches for it at the moment. */
  readonly isNodeAstray: () => boolean;
}

/** Of one leadership; past it the longest waiting is answered with false. */
export const DRAINS_WAITING_MAX = 1_000;

interface Waiting {
  readonly revision: number;
  readonly answer: (drained: boolean) => void;
  readonly timer: Timer;
}

export class DrainBarrier {
  readonly #components: DrainBarrierComponents;
  readonly #told = new Map<string, number>();
  readonly #waiting = new Set<Waiting>();
  #closed = false;

  constructor(components: DrainBarrierComponents) {
    this.#components = components;
  }

  /** @returns whether all nodes had taken it out within `DRAIN_WAIT_MS`. */
  tell(managerId: string, revision: number): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false);
    this.#told.set(managerId, Math.max(revision, this.#told.get(managerId) ?? 0));
    const [oldest] = this.#waiting;
    if (oldest !== undefined && this.#waiting.size >= DRAINS_WAITING_MAX) oldest.answer(false);
    return new Promise((resolve) => {
      const answer = (drained: boolean): void => {
        waiting.timer.cancel();
        this.#waiting.delete(waiting);
        resolve(drained);
      };
      const timer = this.#components.clock.setTimer(DRAIN_WAIT_MS, () => answer(false));
      const waiting: Waiting = { revision, answer, timer };
      this.#waiting.add(waiting);
      this.check();
    });
  }

  /** A session began at this manager: that node has not said what it has taken out. The manager tells again. */
  retract(managerId: string): void {
    if (this.#waiting.size > 0) this.#told.delete(managerId);
  }

  /** Who vouches for whom has changed. */
  check(): void {
    if (this.#waiting.size === 0) return;
    let least = Infinity;
    for (const managerId of this.#components.managers())
      least = Math.min(least, this.#told.get(managerId) ?? 0);
    const due = [...this.#waiting].filter(({ revision }) => revision <= least);
    if (due.length === 0 || this.#components.isNodeAstray()) return;
    for (const { answer } of due) answer(true);
  }

  close(): void {
    this.#closed = true;
    for (const { answer } of [...this.#waiting]) answer(false);
  }
}
