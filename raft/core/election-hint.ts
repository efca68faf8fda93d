/**
 * A broken connection to the leader as a hint to elect a new one long before the election timeout.
 * Pure. Invariant: a hint changes only when we campaign and that we may vote, never how votes count.
 * A false hint is harmless: peers that still hear the leader refuse the pre-vote,
 * and its next heartbeat clears the hint.
 * Source: own; pre-vote from thesis 9.6.
 */
import type { CoreState } from "./core-state.js";
import { holdsVote } from "./lease.js";
import type { RaftId } from "./types.js";

/** The first try comes after 0, 1 or 2 ticks: members notice together, and should not split the vote. */
const FIRST_TICKS = { min: 0, max: 3 } as const;
/** Next tries: late enough for a vote to end on a slow network, much sooner than the election timeout. */
const RETRY_TICKS = { min: 2, max: 6 } as const;
/** After that many tries the ordinary timeout takes over, so that a minority does not talk for ever. */
const TRIES_MAX = 5;

/** @returns whether to campaign right now. */
export function noteConnectionLost(state: CoreState, peer: RaftId): boolean {
  if (peer === 0 || peer !== state.leader || state.activity === "leader" || state.hint !== undefined)
    return false;
  const ticksLeft = state.random.int(FIRST_TICKS.min, FIRST_TICKS.max);
  state.hint = { ticksLeft, triesLeft: TRIES_MAX };
  return ticksLeft === 0 && !holdsVote(state) && takeTry(state);
}

/** @returns whether to campaign at this tick; a promised vote makes the hint wait (lease.ts). */
export function tickHint(state: CoreState): boolean {
  const { hint } = state;
  if (hint === undefined || hint.triesLeft === 0 || holdsVote(state)) return false;
  hint.ticksLeft -= 1;
  return hint.ticksLeft <= 0 && takeTry(state);
}

/** We just helped a candidate: give it the time to win before we try ourselves. */
export function afterGrantedVote(state: CoreState): void {
  if (state.hint !== undefined) state.hint.ticksLeft = RETRY_TICKS.max;
}

function takeTry(state: CoreState): boolean {
  const { hint } = state;
  if (hint === undefined) return false;
  hint.triesLeft -= 1;
  hint.ticksLeft = state.random.int(RETRY_TICKS.min, RETRY_TICKS.max);
  return true;
}
