/**
 * Time as a collaborator: wall clock, monotonic clock and timers, handed to whoever needs them.
 * Pure (interfaces only). Durations and instants are milliseconds.
 */

/** A pending timer. Cancelling twice, or after it fired, is harmless. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch; may jump. Only for what people read and what certificates need. */
  nowMs(): number;
  /** Milliseconds since some fixed moment; never jumps back. For measuring and for deadlines. */
  monotonicMs(): number;
  /** Calls `fire` once, `delayMs` from now (0 or more). */
  setTimer(delayMs: number, fire: () => void): Timer;
  /** Calls `fire` every `periodMs`, first after one period. */
  setInterval(periodMs: number, fire: () => void): Timer;
  /** Resolves after `delayMs`. @throws {CancelledError} when the signal fires first. */
  sleep(delayMs: number, options?: { signal?: AbortSignal }): Promise<void>;
}
