/**
 * What the failure of a forwarded or refused call says about whether it was carried out, and whether it may
 * be tried again. Pure. Invariant: nothing that may have been done is called undone.
 */
import type { ServiceError } from "@grpc/grpc-js";
import { type ErrorCode, type SkeinError, UnavailableError } from "../base/errors/errors.js";
import { fromGrpcError } from "../base/grpc/grpc-errors.js";
import { AttachmentsService } from "../proto/gen/skein/v1/attachments.js";
import { ControlService } from "../proto/gen/skein/v1/control.js";

/** Those of people, and those of nodes that ask on behalf of people. */
const METHODS: ReadonlyMap<string, string> = new Map(
  [...Object.values(ControlService), ...Object.values(AttachmentsService)].map(({ path }) => [
    path,
    path.slice(path.lastIndexOf("/") + 1),
  ]),
);
const TOLD_BY_STATE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "not-found",
  "already-exists",
  "aborted",
  "failed-precondition",
]);

/**
 * True when the call certainly was not carried out, so that it may be sent again. A server that is closing
 * refuses streams that it has not looked at (REFUSED_STREAM, RFC 9113 8.7).
 */
export function isCertainlyNotDone(error: SkeinError): boolean {
  return (
    error.code === "not-leader" ||
    (error.code === "unavailable" &&
      /ECONNREFUSED|No connection established|Failed to connect|Stream refused by server/.test(error.message))
  );
}

/** A handler's refusal, as an error or as the status made of it. */
export function isNotLeader(error: unknown): boolean {
  return error instanceof Error || isStatus(error)
    ? fromGrpcError(error as ServiceError).code === "not-leader" // a status has the fields that are read
    : false;
}

/**
 * True of refusals that the state of the cluster is the reason for, and that surely changed nothing. What was
 * created may be gone again before it is read for the reply: then "not found" does not mean that nothing was
 * made.
 */
export function isToldByState(path: string, error: unknown): boolean {
  const method = METHODS.get(path);
  if (method === undefined || !(error instanceof Error || isStatus(error))) return false;
  const { code } = fromGrpcError(error as ServiceError); // a status has the fields that are read
  return TOLD_BY_STATE.has(code) && !(code === "not-found" && method.startsWith("Create"));
}

function isStatus(error: unknown): boolean {
  return typeof error === "object" && error !== null && "details" in error;
}

/** For a caller whose call the leader may have carried out before it went away. */
export function unknownOutcome(leader: string, cause: SkeinError): UnavailableError {
  const found =
    "went away before it answered: the change may have been made, or not; look before you repeat it";
  return new UnavailableError(`the leader at ${leader} ${found}`, { cause });
}
