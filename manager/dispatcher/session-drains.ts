/**
 * What one session owes to rounds of draining: sets not sent yet, sets not applied yet.
 * Pure.
 * Invariant: each round it owes is settled once: when the agent's network follows the set that took the
 * tasks out, or when the session is over. Rounds that are over are forgotten: what is kept is bounded by the
 * rounds.
 */
import type { DrainRound, DrainRounds } from "./drain-rounds.js";

interface SentSet {
  readonly revision: number;
  readonly rounds: readonly DrainRound[];
}

export class SessionDrains {
  readonly #rounds: DrainRounds;
  readonly #release: (revision: number) => void;
  /** Not in any set yet. */
  #unsent: DrainRound[] = [];
  /** Oldest first. */
  #sent: SentSet[] = [];

  /** @param release tells the agent that what the sets up to the revision stop gets no connections any more. */
  constructor(rounds: DrainRounds, release: (revision: number) => void) {
    this.#rounds = rounds;
    this.#release = release;
  }

  /** The stream has to wait: the round goes with a later set. */
  postpone(round: DrainRound): void {
    this.#unsent = this.#unsent.filter(({ isOver }) => !isOver);
    this.#rounds.owe(round);
    this.#unsent.push(round);
  }

  /** A first set tells of all rounds under way, too. */
  joinAll(): void {
    for (const round of this.#rounds.pending) if (!this.#unsent.includes(round)) this.postpone(round);
  }

  get isOwing(): boolean {
    return this.#unsent.some(({ isOver }) => !isOver);
  }

  /** Sets whose rounds may be under way. */
  get kept(): number {
    return this.#sent.length;
  }

  /**
   * All postponed rounds are in the set of this revision.
   * @param stops tasks of the node itself wait.
   */
  sent(revision: number, stops: boolean): void {
    const rounds = this.#unsent;
    this.#unsent = [];
    while (this.#sent[0]?.rounds.every(({ isOver }) => isOver)) this.#sent.shift();
    this.#sent.push({ revision, rounds });
    if (stops) rounds.at(-1)?.releases.push(() => this.#release(revision));
  }

  /** The agent's network follows this revision. */
  applied(revision: number): void {
    while (this.#sent[0] !== undefined && this.#sent[0].revision <= revision)
      this.#settle(this.#sent.shift());
  }

  end(): void {
    this.#settle({ revision: 0, rounds: this.#unsent });
    this.#unsent = [];
    for (const set of this.#sent) this.#settle(set);
    this.#sent = [];
  }

  #settle(set: SentSet | undefined): void {
    for (const round of set?.rounds ?? []) this.#rounds.settle(round);
  }
}
