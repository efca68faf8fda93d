/**
 * One vocabulary of failure: classes chosen by what the caller should do next.
 * Pure. Source: gRPC status codes; the rows' transport codes stand in status.ts alone.
 */

export type ErrorCode =
  | "cancelled"
  | "invalid-argument"
  | "deadline-exceeded"
  | "not-found"
  | "already-exists"
  | "permission-denied"
  | "resource-exhausted"
  | "too-large"
  | "failed-precondition"
  | "aborted"
  | "not-implemented"
  | "internal"
  | "unavailable"
  | "not-leader"
  | "data-loss"
  | "unauthenticated";

/** An operating error: expected, typed, and safe to show. Its message never holds a secret. */
export class SkeinError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** The caller gave up. */
export class CancelledError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("cancelled", message, options);
  }
}

/** The request is wrong whatever the state of the system: do not repeat it. */
export class InvalidArgumentError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("invalid-argument", message, options);
  }
}

/** Not done in time; it may still happen. */
export class DeadlineExceededError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("deadline-exceeded", message, options);
  }
}

export class NotFoundError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("not-found", message, options);
  }
}

/** The name is taken. */
export class AlreadyExistsError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("already-exists", message, options);
  }
}

/** Known caller, not allowed. */
export class PermissionDeniedError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("permission-denied", message, options);
  }
}

/** A bound was reached: retry later, or with less. */
export class ResourceExhaustedError extends SkeinError {
  /** Milliseconds after which a retry may find room; undefined where nobody can tell. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super("resource-exhausted", message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** More bytes than such a request may have: do not repeat it. */
export class TooLargeError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("too-large", message, options);
  }
}

/** The state of the system forbids it until somebody changes that state. */
export class FailedPreconditionError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("failed-precondition", message, options);
  }
}

/** Somebody else changed the object meanwhile: read again, then retry. */
export class AbortedError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("aborted", message, options);
  }
}

export class NotImplementedError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("not-implemented", message, options);
  }
}

/** Something broke inside; a bug or an unforeseen answer of the machine. */
export class InternalError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("internal", message, options);
  }
}

/** Not now: retry with a growing pause. */
export class UnavailableError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("unavailable", message, options);
  }
}

/** Only the leader can do this. */
export class NotLeaderError extends SkeinError {
  /** host:port of the leader when known. */
  readonly leaderAddress: string | undefined;

  constructor(message: string, options: { cause?: unknown; leaderAddress?: string | undefined } = {}) {
    super("not-leader", message, options);
    this.leaderAddress = options.leaderAddress;
  }
}

/** Stored data is damaged: stop, and let a person or a healthy peer repair it. */
export class DataLossError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("data-loss", message, options);
  }
}

/** Unknown caller: bad certificate or token. */
export class UnauthenticatedError extends SkeinError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("unauthenticated", message, options);
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of whatever was thrown; "internal" for what is not ours. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof SkeinError ? error.code : "internal";
}
