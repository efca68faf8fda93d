/**
 * Which revisions `stack undo` may go to. Pure.
 * The daemon takes the newest of them that differs from what is in force.
 */
import type { RevisionSummary } from "../../proto/stack-api.js";

/**
 * Good revisions before the one in force, newest first.
 * @param inForce the revision being applied, else the good one.
 */
export function undoCandidates(revisions: readonly RevisionSummary[], inForce: number): readonly number[] {
  return revisions
    .filter(({ Number: number, Outcome }) => Outcome === "good" && number < inForce)
    .map(({ Number: number }) => number)
    .sort((a, b) => b - a);
}
