/**
 * Learners that do not speak: a join that was never finished, or a host that died before it had caught up.
 * Pure. Invariant: a learner is overdue after two minutes without a stream, counted from when this leader
 * first missed it; one that speaks in between begins anew. Bound: one instant per learner.
 */
import type { RaftMember } from "../../proto/gen/skein/v1/raft.js";

/** Longer than any start of a host; a learner costs no vote, only messages to nobody. */
export const SILENCE_MAX_MS = 120_000;

export class SilentLearners {
  readonly #missedSinceMs = new Map<number, number>();

  /** @returns who is overdue, and when to look again (undefined: when something changes). */
  look(
    members: readonly RaftMember[],
    reachable: ReadonlyMap<number, boolean>,
    nowMs: number,
  ): { readonly overdue: ReadonlySet<number>; readonly againMs: number | undefined } {
    const missing = members.filter(({ raftId, learner }) => learner && reachable.get(raftId) !== true);
    for (const raftId of this.#missedSinceMs.keys())
      if (!missing.some((member) => member.raftId === raftId)) this.#missedSinceMs.delete(raftId);
    const overdue = new Set<number>();
    for (const { raftId } of missing) {
      const since = this.#missedSinceMs.get(raftId) ?? nowMs;
      this.#missedSinceMs.set(raftId, since);
      if (nowMs - since >= SILENCE_MAX_MS) overdue.add(raftId);
    }
    return { overdue, againMs: members.some(({ learner }) => learner) ? SILENCE_MAX_MS / 4 : undefined };
  }
}
