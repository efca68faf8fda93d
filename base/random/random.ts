/**
 * Randomness as a collaborator, so that a seed replays a run.
 * Pure (interface only).
 */
export interface Random {
  /** Uniform over 0 … 2^32-1. */
  uint32(): number;
  /** Uniform over [0, 1). */
  float(): number;
  /** Uniform integer, `min` inclusive, `max` exclusive. */
  int(min: number, max: number): number;
  bytes(count: number): Uint8Array;
  /** A stream of its own, derived by name: drawing from it does not disturb this one. */
  child(name: string): Random;
}
