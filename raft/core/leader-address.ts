/**
 * Where the leader is, as far as this member knows. Pure.
 */
import type { CoreState } from "./core-state.js";

/** @returns host:port, or undefined when no leader is known or it is this member. */
export function leaderAddressOf(state: CoreState): string | undefined {
  const wanted = state.transferee !== 0 ? state.transferee : state.leader;
  if (wanted === 0 || wanted === state.id) return undefined;
  return state.membership.members.find((member) => member.raftId === wanted)?.address;
}
