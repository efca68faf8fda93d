/**
 * How far a node's clock is from its manager's, as its heartbeats tell.
 * Pure. A heartbeat says when it was sent, and comes later: of the newest few the quickest counts.
 * Invariant: what is told is 0 or at least `SKEW_TOLD_MIN_MS`, in whole seconds, and stays as it was for a
 * change of one second, so that the clocks' daily drift costs no commit.
 */

/** Less than this harms nothing here: certificates are dated back by an hour. */
export const SKEW_TOLD_MIN_MS = 3_000;
const HEARTBEATS = 5;
const STEP_MS = 1_000;

export class ClockSkew {
  #newest: number[] = [];
  #toldMs = 0;

  /** @param sentAtMs by the node's clock. @param nowMs by the manager's. */
  heard(sentAtMs: number, nowMs: number): void {
    if (!Number.isFinite(sentAtMs) || sentAtMs <= 0) return;
    this.#newest = [...this.#newest.slice(1 - HEARTBEATS), sentAtMs - nowMs];
    const seconds = Math.round(Math.max(...this.#newest) / STEP_MS) * STEP_MS;
    const skewMs = Math.abs(seconds) < SKEW_TOLD_MIN_MS ? 0 : seconds;
    if (skewMs === 0 || Math.abs(skewMs - this.#toldMs) > STEP_MS) this.#toldMs = skewMs;
  }

  /** The node's clock less the manager's; undefined: no heartbeat has come yet. */
  get ms(): number | undefined {
    return this.#newest.length === 0 ? undefined : this.#toldMs;
  }
}
