/**
 * The Debug service of one manager. Edge: to @grpc/grpc-js.
 */
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import type { DebugServer } from "../../proto/gen/skein/v1/debug.js";
import type { RaftNode } from "./raft-node.js";

export function createDebugHandlers(node: RaftNode): DebugServer {
  return {
    inspectRaft: (_call, callback) => {
      try {
        callback(null, node.inspect());
      } catch (error) {
        callback(toGrpcStatus(error));
      }
    },
  };
}
