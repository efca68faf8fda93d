/**
 * Who may speak as which member: the node named by the certificate against what is known of the membership.
 * Pure. A certificate stays valid until it expires, so a manager that was demoted or removed still has one.
 *
 *   the id is                             the certificate is of
 *   removed                               anybody                  refused for good
 *   a member's                            that member's node       served, unless a peer says it was removed:
 *                                                                  then refused for now
 *   a member's                            another node             refused: nobody changes its node
 *   unknown, and listed by members in     the node that they name  served: we are behind
 *   reach
 *   unknown, and not listed by them       anybody                  refused for now, tried again
 *   unknown, and nobody can be asked      anybody                  refused for now; served once we have been
 *                                                                  alone for a while
 *
 * The last line: a member that was away while all that it knew were replaced must hear the leader that it
 * does not know (thesis 4.2.2), and with nobody to ask a manager's certificate is all there is to go by.
 * Invariant: with one honest member in reach that is not behind, nobody but a member is served.
 */
import type { RaftId, RaftMember } from "../core/types.js";

/** What a peer says about the membership in force there. */
export interface Roster {
  readonly members: readonly Pick<RaftMember, "raftId" | "nodeId">[];
  readonly removed: readonly RaftId[];
}

export interface AdmissionView {
  readonly own: Roster;
  /** Of the members whose streams are up. */
  readonly rosters: readonly Roster[];
  /** No member has been in reach for long. */
  readonly isAlone: boolean;
}

export type Admission = "served" | "removed" | "impostor" | "unknown";

/** @param nodeId of the certificate; undefined without TLS, where nothing can be checked. */
export function admit(raftId: RaftId, nodeId: string | undefined, view: AdmissionView): Admission {
  if (view.own.removed.includes(raftId)) return "removed";
  if (nodeId === undefined) return "served";
  const wasRemoved = view.rosters.some(({ removed }) => removed.includes(raftId));
  const member = memberOf(view.own, raftId);
  if (member !== undefined) {
    if (member.nodeId !== nodeId) return "impostor";
    return wasRemoved ? "unknown" : "served";
  }
  if (wasRemoved) return "unknown";
  const isListed = view.rosters.some((roster) => memberOf(roster, raftId)?.nodeId === nodeId);
  return isListed || (view.rosters.length === 0 && view.isAlone) ? "served" : "unknown";
}

function memberOf({ members }: Roster, raftId: RaftId): { readonly nodeId: string } | undefined {
  return members.find((member) => member.raftId === raftId);
}
