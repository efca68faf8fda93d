/**
 * What must happen so that Raft's members, the nodes' wishes and the nodes' manager status agree.
 * Pure. Invariant: a plan removes at most one member, never the last voter,
 * and never the leader itself, which hands over first.
 */
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import type { RaftMember } from "../../proto/gen/skein/v1/raft.js";
import { type ManagerStatus, NodeRole } from "../../proto/gen/skein/v1/types.js";

export type RoleStep =
  | { readonly kind: "remove-member"; readonly raftId: number; readonly nodeId: string; readonly why: string }
  | { readonly kind: "hand-over"; readonly why: string }
  | { readonly kind: "set-status"; readonly nodeId: string; readonly status: ManagerStatus | undefined }
  | { readonly kind: "remove-node"; readonly nodeId: string };

export interface RolePlanInput {
  readonly nodes: readonly Node[];
  readonly members: readonly RaftMember[];
  /** This leader. */
  readonly selfRaftId: number;
  /** Learners that have not been heard for too long. */
  readonly silentLearners?: ReadonlySet<number>;
  /** Nodes that were admitted long ago and never came. */
  readonly unfinishedJoins?: ReadonlySet<string>;
}

function whyUnwanted(node: Node | undefined): string | undefined {
  if (node === undefined) return "its node was removed";
  if (node.spec?.desiredRole === NodeRole.WORKER && node.role === NodeRole.MANAGER) return "it was demoted";
  return undefined;
}

function statusOf(member: RaftMember | undefined): ManagerStatus | undefined {
  return member === undefined
    ? undefined
    : { raftId: member.raftId, address: member.address, leader: false, reachability: "" };
}

function sameStatus(a: ManagerStatus | undefined, b: ManagerStatus | undefined): boolean {
  return a?.raftId === b?.raftId && a?.address === b?.address;
}

/** Steps in the order to carry them out; empty when all agrees. */
export function planRoles({
  nodes,
  members,
  selfRaftId,
  silentLearners,
  unfinishedJoins,
}: RolePlanInput): readonly RoleStep[] {
  const nodeById = new Map(nodes.map((node) => [node.id, node]));
  const memberByNode = new Map(members.map((member) => [member.nodeId, member]));
  const steps: RoleStep[] = [];
  for (const node of nodes) {
    const status = statusOf(memberByNode.get(node.id));
    if (!sameStatus(status, node.managerStatus)) steps.push({ kind: "set-status", nodeId: node.id, status });
    if (status === undefined && unfinishedJoins?.has(node.id) === true)
      steps.push({ kind: "remove-node", nodeId: node.id });
  }
  const voterCount = members.filter((member) => !member.learner).length;
  for (const member of members) {
    const isSilent = silentLearners?.has(member.raftId) === true;
    const why = whyUnwanted(nodeById.get(member.nodeId)) ?? (isSilent ? "it never caught up" : undefined);
    if (why === undefined || (!member.learner && voterCount === 1)) continue;
    if (member.raftId === selfRaftId) steps.push({ kind: "hand-over", why });
    else steps.push({ kind: "remove-member", raftId: member.raftId, nodeId: member.nodeId, why });
    break; // one membership change at a time; the next pass sees its outcome
  }
  return steps;
}
