/**
 * The RaftMembership service: joining and leaving, answered by the leader. Edge: to @grpc/grpc-js.
 * Both are idempotent by node id: a node that asks again before it took part gets the same member, perhaps
 * with a new address; one that had taken part begins anew, because who joins has an empty log.
 */
import type { sendUnaryData } from "@grpc/grpc-js";
import { NotLeaderError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import type {
  JoinReply,
  JoinRequest,
  LeaveReply,
  RaftMembershipServer,
} from "../../proto/gen/skein/v1/raft.js";
import type { RaftNode } from "./raft-node.js";

export function createMembershipHandlers(node: RaftNode): RaftMembershipServer {
  return {
    join: (call, callback) => answer(join(node, call.request), callback),
    leave: (call, callback) => answer(leave(node, call.request.nodeId), callback),
  };
}

async function join(node: RaftNode, request: JoinRequest): Promise<JoinReply> {
  return node.addMember({ nodeId: request.nodeId, address: request.address });
}

async function leave(node: RaftNode, nodeId: string): Promise<LeaveReply> {
  const { role, membership, leaderMember } = node.status();
  if (role !== "leader") {
    throw new NotLeaderError("leave: this manager does not lead", { leaderAddress: leaderMember?.address });
  }
  const member = membership.members.find((each) => each.nodeId === nodeId);
  if (member !== undefined) await node.removeMember(member.raftId);
  return {};
}

function answer<T>(work: Promise<T>, callback: sendUnaryData<T>): void {
  work.then(
    (reply) => callback(null, reply),
    (error: unknown) => callback(toGrpcStatus(error)),
  );
}
