/**
 * Assertions that stay on. Pure. A broken invariant is a bug: the process stops and restarts from disk.
 */

export class InvariantError extends Error {
  constructor(message: string) {
    super(`broken invariant: ${message}`);
    this.name = "InvariantError";
  }
}

/** @throws {InvariantError} when the condition is false. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** Ends a `switch` over a union: the compiler refuses it while a member is not handled. */
export function assertNever(value: never, what = "value"): never {
  throw new InvariantError(`unexpected ${what}: ${JSON.stringify(value)}`);
}
