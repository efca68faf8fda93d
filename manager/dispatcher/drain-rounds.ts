/**
 * Tasks on their way out of traffic, as one manager sees it: which of its nodes have yet to take them out,
 * and whom to tell when no node of the cluster sends them connections any more.
 * Pure over `tell`, which reaches the leader. A round is made of the changes of one pass and named by the
 * newest revision that stops a task with traffic; such revisions are the same on every manager.
 * Invariants: the leader is told of a round only when no session owes it; nodes are released only by the
 * leader's answer; a round is given up after `DRAIN_WAIT_MS`, when agents stop waiting anyway. At rest there
 * is none.
 */
import type { Clock } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";

/** Milliseconds for which a task's stop signal waits for other nodes at most. */
export const DRAIN_WAIT_MS = 2_000;
/** Rounds that are not confirmed yet; past it the oldest is given up. */
export const DRAIN_ROUNDS_MAX = 500;
/** Questions to the leader under way; what comes meanwhile is asked with the next. */
const QUESTIONS_MAX = 8;
/** Milliseconds before a question that failed is repeated. */
const REPEAT_AFTER_MS = 50;

export interface DrainRound {
  readonly revision: number;
  readonly beganMs: number;
  /** Sessions that have not taken it out yet. */
  open: number;
  /** Confirmed, or given up. */
  isOver: boolean;
  /** Sessions whose own tasks wait for the round. */
  readonly releases: (() => void)[];
}

export interface DrainRoundsComponents {
  /** Resolves when the nodes of all managers have taken out what stops up to the revision; false: not in time. */
  readonly tell: (revision: number) => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DrainRounds {
  readonly #components: DrainRoundsComponents;
  /** Oldest first. */
  #rounds: DrainRound[] = [];
  #toldRevision = 0;
  #questions = 0;
  #closed = false;

  constructor(components: DrainRoundsComponents) {
    this.#components = components;
  }

  /** Not confirmed yet. */
  get pending(): readonly DrainRound[] {
    this.#expire();
    return this.#rounds;
  }

  begin(revision: number): DrainRound {
    this.#expire();
    if (this.#rounds.length >= DRAIN_ROUNDS_MAX) this.#giveUpOldest();
    const beganMs = this.#components.clock.monotonicMs();
    const round = { revision, beganMs, open: 0, isOver: false, releases: [] };
    this.#rounds.push(round);
    return round;
  }

  /** One more session has to take it out: the leader is told again when it has. */
  owe(round: DrainRound): void {
    round.open += 1;
    this.#toldRevision = Math.min(this.#toldRevision, round.revision - 1);
  }

  /** A session has taken it out, or is over. */
  settle(round: DrainRound): void {
    round.open -= 1;
    if (round.open === 0 && !round.isOver) this.advance();
  }

  /** There may be something to tell. */
  advance(): void {
    if (this.#closed || this.#questions >= QUESTIONS_MAX) return;
    let revision = 0;
    for (const round of this.pending) {
      if (round.open > 0) break;
      revision = round.revision;
    }
    if (revision <= this.#toldRevision) return;
    this.#toldRevision = revision;
    this.#questions += 1;
    this.#components.tell(revision).then(
      (drained) => this.#answered(revision, drained),
      (error: unknown) => {
        this.#components.log.debug("drain not told to the leader", { revision, error: messageOf(error) });
        this.#answered(revision, false);
      },
    );
  }

  /** What an earlier leader was told, the new one is to hear. */
  repeat(): void {
    this.#toldRevision = 0;
    this.advance();
  }

  close(): void {
    this.#closed = true;
    this.#rounds = [];
  }

  #answered(revision: number, drained: boolean): void {
    this.#questions -= 1;
    if (!drained) {
      if (this.pending.length > 0) this.#components.clock.setTimer(REPEAT_AFTER_MS, () => this.repeat());
      return;
    }
    const done = this.#rounds.filter((round) => round.revision <= revision);
    this.#rounds = this.#rounds.filter((round) => round.revision > revision);
    for (const round of done) {
      round.isOver = true;
      for (const release of round.releases) release();
    }
    this.advance();
  }

  #expire(): void {
    const sinceMs = this.#components.clock.monotonicMs() - DRAIN_WAIT_MS;
    while ((this.#rounds[0]?.beganMs ?? Infinity) <= sinceMs) this.#giveUpOldest();
  }

  #giveUpOldest(): void {
    const oldest = this.#rounds.shift();
    if (oldest !== undefined) oldest.isOver = true;
  }
}
