/**
 * What SwarmKit's own benchmarks gave on the machine of the anchors: its scheduler with the store and its
 * events, in memory, without a proposer. Recorded, not measured in the same run.
 * Pure.
 */

/** Tasks a second, by nodes x tasks. */
export const SWARMKIT_RECORDED = {
  oneOff: { "1k x 1k": 6_800, "1k x 10k": 7_800, "1k x 100k": 7_700, "100k x 1k": 85 },
  constraints: { "1k x 1k": 7_000, "1k x 10k": 8_200, "1k x 100k": 6_800 },
  grouped: { "1k x 1k": 8_000, "1k x 10k": 13_000, "1k x 100k": 8_900 },
  /** Transactions of one update a second. */
  updateTransactions: 16_700,
  /** Microseconds to publish one transaction to 1 000 watchers. */
  publishUs: 363,
} as const;
