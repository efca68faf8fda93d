/**
 * Errors across gRPC. Edge: to @grpc/grpc-js. The precise code travels in the metadata key `skein-code`,
 * because several of our codes share one gRPC status; what else an error knows has a key of its own:
 * `skein-leader`, `skein-retry-after-ms`.
 */
import { Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import {
  codeOf,
  type ErrorCode,
  messageOf,
  NotLeaderError,
  ResourceExhaustedError,
  SkeinError,
} from "../errors/errors.js";
import { codeFromGrpc, errorFromCode, STATUS } from "../errors/status.js";

/** What a handler hands to its callback when it fails. */
export function toGrpcStatus(error: unknown): StatusObject {
  const code = codeOf(error);
  const metadata = new Metadata();
  metadata.set("skein-code", code);
  if (error instanceof NotLeaderError && error.leaderAddress !== undefined) {
    metadata.set("skein-leader", error.leaderAddress);
  }
  if (error instanceof ResourceExhaustedError && error.retryAfterMs !== undefined) {
    metadata.set("skein-retry-after-ms", String(Math.ceil(error.retryAfterMs)));
  }
  return { code: STATUS[code].grpc, details: messageOf(error), metadata };
}

/** The error a caller sees, rebuilt from the wire. */
export function fromGrpcError(error: ServiceError | Error): SkeinError {
  if (error instanceof SkeinError) return error;
  if (!("details" in error) || typeof error.code !== "number") {
    return errorFromCode("unavailable", error.message, error);
  }
  const named = error.metadata?.get("skein-code")[0]?.toString();
  const code: ErrorCode =
    // just proved
    named !== undefined && Object.hasOwn(STATUS, named) ? (named as ErrorCode) : bareCode(error);
  if (code === "not-leader") {
    return new NotLeaderError(error.details, {
      cause: error,
      leaderAddress: error.metadata.get("skein-leader")[0]?.toString(),
    });
  }
  if (code === "resource-exhausted") {
    return new ResourceExhaustedError(error.details || error.message, {
      cause: error,
      retryAfterMs: retryAfterOf(error.metadata),
    });
  }
  return errorFromCode(code, error.details || error.message, error);
}

/**
 * A status that no handler of ours made. A stream that ended without any, as when the peer's process ends in
 * the middle of a call, is "internal" to grpc-js; for the caller the peer went away.
 */
function bareCode({ code, details }: ServiceError): ErrorCode {
  return /RST_STREAM|ended without gRPC status/.test(details) ? "unavailable" : codeFromGrpc(code);
}

/** A number of at most nine digits, or nothing. */
function retryAfterOf(metadata: Metadata | undefined): number | undefined {
  const text = metadata?.get("skein-retry-after-ms")[0]?.toString() ?? "";
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
