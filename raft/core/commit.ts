/**
 * The leader's commit rule and the bound on what waits for it.
 * Pure. Invariant: only an entry of the own term is committed by counting; earlier ones follow with it.
 * Source: Raft paper 5.4.2, figure 8; thesis 10.2.1 (the leader's own entries count once synced).
 */
import { ResourceExhaustedError } from "../../base/errors/errors.js";
import { committedIndex } from "../quorum/majority.js";
import type { CoreState } from "./core-state.js";

/** @returns whether the commit index moved. */
export function commitByCounting(state: CoreState): boolean {
  const index = committedIndex(state.voters, (voter) => state.progress.get(voter)?.match ?? 0);
  if (index <= state.log.commitIndex || state.log.term(index) !== state.term) return false;
  state.log.commitTo(index);
  releaseUncommitted(state);
  return true;
}

/**
 * Reserves room for entries about to be appended. One batch always fits when nothing else waits.
 * @throws {ResourceExhaustedError} at the bound.
 */
export function reserveUncommitted(state: CoreState, lastIndex: number, bytes: number): void {
  const { uncommittedBytesMax } = state.limits;
  if (state.uncommittedBytes > 0 && state.uncommittedBytes + bytes > uncommittedBytesMax) {
    throw new ResourceExhaustedError(
      `propose ${bytes} bytes: ${state.uncommittedBytes} of at most ${uncommittedBytesMax} already wait ` +
        "for commit",
    );
  }
  state.uncommitted.push({ lastIndex, bytes });
  state.uncommittedBytes += bytes;
}

function releaseUncommitted(state: CoreState): void {
  let released = 0;
  for (const batch of state.uncommitted) {
    if (batch.lastIndex > state.log.commitIndex) break;
    state.uncommittedBytes -= batch.bytes;
    released += 1;
  }
  if (released > 0) state.uncommitted.splice(0, released);
}
