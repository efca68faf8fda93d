/**
 * Differences from Docker 20.10 that are meant, with the reason. Pure (a table).
 * docs/compat.md tells the same in words.
 */

export interface Explanation {
  /** Heading in docs/compat.md. */
  readonly reason: string;
  readonly difference: RegExp;
  /** Only in steps that match; absent: in all. */
  readonly command?: RegExp;
}

export const EXPLAINED: readonly Explanation[] = [];
