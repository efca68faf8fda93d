/**
 * What an operator should know about the swarm's managers, in sentences: an even number, one loss from
 * losing the quorum, the quorum lost, a member in trouble. Pure, over what this node's manager says of its
 * Raft member.
 * Source: Raft paper 5.1 on majorities; the numbers of docs/design/raft-membership.md.
 */
import type { RaftInspection } from "../../proto/gen/skein/v1/debug.js";

export interface Quorum {
  readonly voters: number;
  /** Of them, from here; this manager itself included. */
  readonly reachable: number;
  readonly needed: number;
}

export function quorumOf({ members }: Pick<RaftInspection, "members">): Quorum {
  const voters = members.filter(({ learner }) => !learner);
  return {
    voters: voters.length,
    reachable: voters.filter(({ reachable }) => reachable).length,
    needed: Math.floor(voters.length / 2) + 1,
  };
}

/** No leader, and not enough managers within reach to elect one. */
export function isQuorumLost(inspection: RaftInspection): boolean {
  const { reachable, needed } = quorumOf(inspection);
  return inspection.leader === 0 && reachable < needed;
}

/** @returns one sentence or two each; empty when all is well. */
export function managerWarnings(inspection: RaftInspection): string[] {
  const { voters, reachable, needed } = quorumOf(inspection);
  const warnings: string[] = [];
  const silent = inspection.members
    .filter((member) => !member.learner && !member.reachable)
    .map(({ address }) => address)
    .join(", ");
  const count = `${reachable} of ${voters} managers can be reached from this one`;
  if (isQuorumLost(inspection)) {
    warnings.push(
      `${count}, ${needed} are needed: the quorum is lost, and nothing can be changed. Bring one of ${silent} back; ` +
        "if they are lost for good, see 'swarm init --force-new-cluster'.",
    );
  } else if (reachable < voters) {
    const next = reachable - 1 < needed ? "; losing one more manager loses the quorum" : "";
    warnings.push(`${count} (not ${silent})${next}.`);
  }
  if (voters === 2) {
    warnings.push(
      "This swarm has 2 managers: losing either one loses the quorum. Use 1 or 3; 3 tolerate the loss of one.",
    );
  } else if (voters % 2 === 0 && voters > 0) {
    warnings.push(
      `This swarm has ${voters} managers, an even number: it tolerates the loss of ${voters - needed}, as ` +
        `${voters - 1} would. Use an odd number.`,
    );
  }
  if (inspection.trouble !== "") warnings.push(`This node's manager is not well: ${inspection.trouble}.`);
  return warnings;
}
