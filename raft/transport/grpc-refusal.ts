/**
 * How a peer is told that it was removed, so that it can tell this from every other refusal.
 * Edge: to gRPC's status and metadata. Invariant: said only of ids in the committed list of removed members.
 */
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import { FailedPreconditionError } from "../../base/errors/errors.js";
import { toGrpcStatus } from "../../base/grpc/grpc-errors.js";
import type { RaftId } from "../core/types.js";

const REMOVED_KEY = "skein-raft-removed";

export function removedError(raftId: RaftId): FailedPreconditionError {
  return new FailedPreconditionError(`member ${raftId} was removed from the cluster`);
}

export function removalStatus(raftId: RaftId): Partial<StatusObject> {
  const status = toGrpcStatus(removedError(raftId));
  const metadata = status.metadata ?? new Metadata();
  metadata.set(REMOVED_KEY, "1");
  return { ...status, metadata };
}

export function isRemoval(metadata: unknown): boolean {
  return metadata instanceof Metadata && metadata.get(REMOVED_KEY).length > 0;
}
