/**
 * Which entries the leader keeps for followers that lag. Pure over the clock.
 * Rule: a follower that is heard from, and has come forward within the last ten seconds, is served from the
 * log, not from a snapshot, as long as that keeps the log within its bounds (stable-log.ts). One that is
 * gone, or stands still, holds nothing.
 */
import type { Clock } from "../../base/clock/clock.js";
import type { ProgressView, RaftId } from "../core/types.js";

const STANDING_STILL_MS = 10_000;

export class Retention {
  readonly #clock: Clock;
  /** How far each follower was, and since when. */
  readonly #seen = new Map<RaftId, { readonly match: number; readonly sinceMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be asked now and then. @returns the first index to keep; undefined: nobody needs any. */
  keepFrom(progress: readonly ProgressView[], lastIndex: number): number | undefined {
    const nowMs = this.#clock.monotonicMs();
    const peers = new Set(progress.map(({ raftId }) => raftId));
    for (const raftId of this.#seen.keys()) if (!peers.has(raftId)) this.#seen.delete(raftId);
    let lowest: number | undefined;
    for (const { raftId, match, state, recentlyActive } of progress) {
      const seen = this.#seen.get(raftId);
      const sinceMs = seen?.match === match && match < lastIndex ? seen.sinceMs : nowMs;
      this.#seen.set(raftId, { match, sinceMs });
      // A match of 0 is not known yet; a snapshot is held for by whoever sends it.
      const isServed = recentlyActive && match > 0 && state !== "snapshot";
      if (isServed && nowMs - sinceMs < STANDING_STILL_MS) lowest = Math.min(lowest ?? match, match);
    }
    return lowest === undefined ? undefined : lowest + 1;
  }
}
