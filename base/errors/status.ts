/**
 * The one table where error codes meet gRPC status and HTTP status. Read by edges only. Pure.
 * Source: google/rpc/code.proto; Docker Engine API's status codes.
 */
import {
  AbortedError,
  AlreadyExistsError,
  CancelledError,
  DataLossError,
  DeadlineExceededError,
  type ErrorCode,
  FailedPreconditionError,
  InternalError,
  InvalidArgumentError,
  NotFoundError,
  NotImplementedError,
  NotLeaderError,
  PermissionDeniedError,
  ResourceExhaustedError,
  type SkeinError,
  TooLargeError,
  UnauthenticatedError,
  UnavailableError,
} from "./errors.js";

export interface StatusRow {
  readonly grpc: number;
  readonly http: number;
  /** May be repeated after a pause without the caller changing anything. */
  readonly retryable: boolean;
}

export const STATUS: Record<ErrorCode, StatusRow> = {
  cancelled: { grpc: 1, http: 499, retryable: false },
  "invalid-argument": { grpc: 3, http: 400, retryable: false },
  // it may have happened: only the caller knows
  "deadline-exceeded": { grpc: 4, http: 504, retryable: false },
  "not-found": { grpc: 5, http: 404, retryable: false },
  "already-exists": { grpc: 6, http: 409, retryable: false },
  "permission-denied": { grpc: 7, http: 403, retryable: false },
  "resource-exhausted": { grpc: 8, http: 503, retryable: true },
  "too-large": { grpc: 3, http: 413, retryable: false },
  "failed-precondition": { grpc: 9, http: 400, retryable: false },
  aborted: { grpc: 10, http: 409, retryable: false }, // needs a fresh read first
  "not-implemented": { grpc: 12, http: 501, retryable: false },
  internal: { grpc: 13, http: 500, retryable: false },
  unavailable: { grpc: 14, http: 503, retryable: true },
  "not-leader": { grpc: 14, http: 503, retryable: true }, // against the leader named in the error
  "data-loss": { grpc: 15, http: 500, retryable: false },
  unauthenticated: { grpc: 16, http: 401, retryable: false },
};

type ErrorClass = new (message: string, options?: { cause?: unknown }) => SkeinError;

const CLASSES: Record<ErrorCode, ErrorClass> = {
  cancelled: CancelledError,
  "invalid-argument": InvalidArgumentError,
  "deadline-exceeded": DeadlineExceededError,
  "not-found": NotFoundError,
  "already-exists": AlreadyExistsError,
  "permission-denied": PermissionDeniedError,
  "resource-exhausted": ResourceExhaustedError,
  "too-large": TooLargeError,
  "failed-precondition": FailedPreconditionError,
  aborted: AbortedError,
  "not-implemented": NotImplementedError,
  internal: InternalError,
  unavailable: UnavailableError,
  "not-leader": NotLeaderError,
  "data-loss": DataLossError,
  unauthenticated: UnauthenticatedError,
};

/** @returns the error class of a code, for edges that rebuild an error from the wire. */
export function errorFromCode(code: ErrorCode, message: string, cause?: unknown): SkeinError {
  return new CLASSES[code](message, { cause });
}

/** As another process of ours named it; a code that is none counts as internal. */
export function errorFromText(code: string, message: string): SkeinError {
  // hasOwn proved it
  return errorFromCode(Object.hasOwn(STATUS, code) ? (code as ErrorCode) : "internal", message);
}

/** Codes that share their gRPC status with a more common one, which a bare status then stands for. */
const SHARED: ReadonlySet<string> = new Set<ErrorCode>(["not-leader", "too-large"]);

/** @returns the code a gRPC status stands for. */
export function codeFromGrpc(status: number): ErrorCode {
  for (const [code, row] of Object.entries(STATUS)) {
    // keys of STATUS are ErrorCodes
    if (row.grpc === status && !SHARED.has(code)) return code as ErrorCode;
  }
  return "internal";
}
