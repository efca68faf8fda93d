/**
 * Why a container could not be put on an overlay, in the words Docker has for it.
 * Pure. Source: what a Docker engine was seen to answer: status 500, the managers' answer quoted.
 */
import { codeOf, type ErrorCode, InternalError, messageOf } from "../../base/errors/errors.js";

/** As Go's gRPC names its codes. */
const GRPC_WORDS: Record<ErrorCode, string> = {
  cancelled: "Canceled",
  "invalid-argument": "InvalidArgument",
  "too-large": "InvalidArgument",
  "deadline-exceeded": "DeadlineExceeded",
  "not-found": "NotFound",
  "already-exists": "AlreadyExists",
  "permission-denied": "PermissionDenied",
  "resource-exhausted": "ResourceExhausted",
  "failed-precondition": "FailedPrecondition",
  aborted: "Aborted",
  "not-implemented": "Unimplemented",
  internal: "Internal",
  unavailable: "Unavailable",
  "not-leader": "Unavailable",
  "data-loss": "DataLoss",
  unauthenticated: "Unauthenticated",
};

const ALLOCATION_FAILED = "attaching to network failed";

export function attachRefusal(network: string, error: unknown): Error {
  const code = codeOf(error);
  const words = messageOf(error);
  if (words.startsWith(ALLOCATION_FAILED)) return new InternalError(words, { cause: error });
  return new InternalError(
    `Could not attach to network ${network}: rpc error: code = ${GRPC_WORDS[code]} desc = ${words}`,
    { cause: error },
  );
}

/** Whether a start failed because of that. */
export function isAttachRefusal(words: string): boolean {
  return words.startsWith(ALLOCATION_FAILED) || words.startsWith("Could not attach to network ");
}
