/**
 * Whether a learner keeps up with the leader's log well enough to be given a vote.
 * Pure. Catching up goes in rounds: each ends when the learner holds what the log held when the round began.
 * It is caught up when a round took less than an election timeout: then what is missing takes less than
 * that, too, and its first vote or commit does not keep the others waiting for longer (thesis 4.2.1).
 * Counting missing entries instead would keep a learner of a busy cluster out for ever, for some are always
 * on their way.
 * Invariant: a round that takes an election timeout ends the readiness until a shorter one is through.
 */
export class CatchUp {
  #target: number;
  #isOpen = true;
  /** Of the round under way. */
  #ticks = 0;
  #lastRoundTicks = Number.POSITIVE_INFINITY;

  /** @param lastIndex of the leader's log when it first knew the learner. */
  constructor(lastIndex: number) {
    this.#target = lastIndex;
  }

  /** A tick has passed. */
  tick(lastIndex: number): void {
    if (this.#isOpen) this.#ticks += 1;
    else if (lastIndex > this.#target) this.#begin(lastIndex);
  }

  /** The learner holds the log up to `match`. */
  acknowledged(match: number, lastIndex: number): void {
    if (!this.#isOpen || match < this.#target) return;
    // A learner that holds all there is needs no time for the next round, which no entry is there to measure:
    // where nothing is written, a slow start must not keep it out.
    this.#lastRoundTicks = match < lastIndex ? this.#ticks : 0;
    this.#isOpen = false;
    this.#ticks = 0;
    if (match < lastIndex) this.#begin(lastIndex);
  }

  isCaughtUp(electionTicks: number): boolean {
    return this.#lastRoundTicks < electionTicks && this.#ticks < electionTicks;
  }

  #begin(lastIndex: number): void {
    this.#target = lastIndex;
    this.#isOpen = true;
    this.#ticks = 0;
  }
}
