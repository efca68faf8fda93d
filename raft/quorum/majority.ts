/**
 * Majority arithmetic: what a set of voters agrees on, from what each of them said.
 * Pure. Invariant: any two majorities of one voter set share a member. Source: Raft paper 5.2, 5.3;
 * thesis 4.1.
 */

export type VoteResult = "won" | "lost" | "pending";

/** Voters needed: more than half. `quorumSize(0)` is 1, so that an empty set never agrees on anything. */
export function quorumSize(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/**
 * The highest index that a majority of the voters holds.
 * @param matchOf index up to which a voter is known to hold the leader's log; 0 when nothing is known.
 * @returns 0 for an empty set: nobody can commit anything.
 */
export function committedIndex(voters: readonly number[], matchOf: (voter: number) => number): number {
  if (voters.length === 0) return 0;
  const matches = voters.map(matchOf).sort((a, b) => b - a);
  return matches[quorumSize(voters.length) - 1] ?? 0;
}

/** Counts ballots; an absent one is still out. Ballots of non-voters do not exist for it. */
export function voteResult(
  voters: readonly number[],
  ballotOf: (voter: number) => boolean | undefined,
): VoteResult {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const ballot = ballotOf(voter);
    if (ballot === true) granted += 1;
    else if (ballot === false) refused += 1;
  }
  const needed = quorumSize(voters.length);
  if (granted >= needed) return "won";
  return voters.length - refused < needed ? "lost" : "pending";
}
