/**
 * The RaftMembership service: joining and leaving, answered by the leader. Edge: to @grpc/grpc-js.
 * Both are idempotent by node id: a node that asks again before it took part gets the same member, perhaps
 * with a new address; one that had taken part begins anew, because who joins has an empty log.
 */
import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { NotLeaderError, PermissionDeniedError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import { type IdentifiableCall, peerOf } from "../../base/grpc/peer-identity.js";
import type {
  JoinReply,
  JoinRequest,
  LeaveReply,
  LeaveRequest,
  RaftMembershipServer,
} from "../../proto/gen/skein/v1/raft.js";
import type { RaftNode } from "./raft-node.js";

export function createMembershipHandlers(node: RaftNode): RaftMembershipServer {
  return {
    join: (call, callback) => answer(join(node, call), callback),
    leave: (call, callback) => answer(leave(node, call), callback),
  };
}

/**
 * Each node asks for itself: a join replaces the member that the node had.
 * @throws {PermissionDeniedError} the certificate is another node's. Without TLS nobody can tell.
 */
function assertForItself(call: IdentifiableCall, nodeId: string): void {
  const peer = peerOf(call);
  if (peer === undefined || peer.nodeId === nodeId) return;
  throw new PermissionDeniedError(`raft membership: node ${peer.nodeId} may not ask for node ${nodeId}`);
}

async function join(node: RaftNode, call: ServerUnaryCall<JoinRequest, JoinReply>): Promise<JoinReply> {
  const { request } = call;
  assertForItself(call, request.nodeId);
  return node.addMember({ nodeId: request.nodeId, address: request.address });
}

async function leave(node: RaftNode, call: ServerUnaryCall<LeaveRequest, LeaveReply>): Promise<LeaveReply> {
  const { nodeId } = call.request;
  assertForItself(call, nodeId);
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
