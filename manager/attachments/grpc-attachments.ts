/**
 * The Attachments service. Edge: to @grpc/grpc-js. The gate in front of it asks the leader.
 * Invariant: a node is the one of its certificate, whatever the request says.
 */
import type { ServerUnaryCall } from "@grpc/grpc-js";
import { UnauthenticatedError } from "../../base/errors/errors.js";
import { peerOf } from "../../base/grpc/peer-identity.js";
import type { AttachmentsServer } from "../../proto/gen/skein/v1/attachments.js";
import { unary } from "../control/grpc-unary.js";
import { Attachments, type AttachmentsComponents } from "./attachments.js";

export function createAttachmentHandlers(components: AttachmentsComponents): AttachmentsServer {
  const attachments = new Attachments(components);
  return {
    attach: unary((request, call) => attachments.attach(nodeOf(call), request)),
    detach: unary(async (request, call) => {
      await attachments.detach(nodeOf(call), request);
      return {};
    }),
  };
}

/** @throws {UnauthenticatedError} */
function nodeOf<Q, R>(call: ServerUnaryCall<Q, R>): string {
  const nodeId = peerOf(call)?.nodeId ?? "";
  if (nodeId === "") throw new UnauthenticatedError("attaching a container needs a node certificate");
  return nodeId;
}
