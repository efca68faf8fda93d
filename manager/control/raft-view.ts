/**
 * What consensus says about a node: is it a member, does it lead, can it be reached, may it be taken out.
 * Pure.
 */
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import type { ManagerStatus } from "../../proto/gen/skein/v1/types.js";
import type { RaftMember } from "../../raft/core/types.js";
import type { RaftStatus } from "../../raft/host/raft-node.js";

export function memberOf(status: RaftStatus, nodeId: string): RaftMember | undefined {
  return status.membership.members.find((member) => member.nodeId === nodeId);
}

export function voters(status: RaftStatus): readonly RaftMember[] {
  return status.membership.members.filter(({ learner }) => !learner);
}

/** Manager status as answered, with leadership and reachability; undefined for a node that is no member. */
export function managerStatus(status: RaftStatus, node: Node): ManagerStatus | undefined {
  const member = memberOf(status, node.id);
  if (member === undefined) return undefined;
  const reached = member.raftId === status.id ? true : status.reachable.get(member.raftId);
  return {
    raftId: member.raftId,
    address: member.address,
    leader: member.raftId === status.leader,
    reachability: reached === undefined ? "unknown" : reached ? "reachable" : "unreachable",
  };
}

/** Whether a majority of the voters can be reached, so that something can be changed at all. */
export function hasQuorum(status: RaftStatus): boolean {
  return isMajority(status, voters(status));
}

/** Whether the voters left after taking this one out would still have a reachable majority. */
export function keepsQuorumWithout(status: RaftStatus, raftId: number): boolean {
  return isMajority(
    status,
    voters(status).filter((member) => member.raftId !== raftId),
  );
}

function isMajority(status: RaftStatus, members: readonly RaftMember[]): boolean {
  const reachable = members.filter(
    (member) => member.raftId === status.id || status.reachable.get(member.raftId) === true,
  );
  return reachable.length >= Math.floor(members.length / 2) + 1;
}
