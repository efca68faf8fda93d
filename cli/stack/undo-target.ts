/**
 * Which revision `stack undo` goes to. Pure.
 * While the newest revision failed or is under way, that is the last good one; else the good one before it.
 */
import type { RevisionSummary } from "../../proto/stack-api.js";

/** @param revisions newest first. @returns undefined when there is nothing to go back to. */
export function undoTarget(revisions: readonly RevisionSummary[], goodRevision: number): number | undefined {
  const good = revisions.filter(({ Outcome }) => Outcome === "good");
  const current = good.find(({ Number: number }) => number === goodRevision);
  // what restores an older one is undone by what stood before it
  return good.find(({ Number: number }) => number < (current?.Number ?? Number.POSITIVE_INFINITY))?.Number;
}
