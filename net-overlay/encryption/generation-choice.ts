/**
 * Which generation of the cluster's key a pair of nodes tries.
 * A session under way does not care: it lives three minutes, and is renewed after two. A renewal that fails
 * although something is being sent means that the other node does not have our generation: perhaps no manager
 * reaches it. Then both are tried in turn, before the session ends.
 * Pure. Invariant: two nodes that both have the newest generation try it at the same time for at least one
 * look of three, whatever their phases.
 * Source: the WireGuard paper, section 6 (timers).
 */

/** REKEY_AFTER_TIME 120 s and some seconds for a renewal that needs a second attempt. */
export const OVERDUE_MS = 135_000;
/** REJECT_AFTER_TIME: nothing is accepted in an older session. */
export const DEAD_MS = 180_000;
/** How often the kernel is looked at; it makes an attempt every 5 s, so that each turn sees one. */
export const LOOK_PERIOD_MS = 10_000;
/** One look with the older generation, two with the newest. */
const TURNS = 3;

/** What the kernel says of a pair. */
export interface PairReading {
  /** Milliseconds since 1970; undefined: never. */
  readonly lastHandshakeMs: number | undefined;
  readonly sentBytes: number;
}

/** What is remembered of a pair from look to look. */
export interface PairWatch {
  readonly generation: number;
  readonly lastHandshakeMs: number | undefined;
  readonly sentBytes: number;
  /** Looks in a row at which something was sent and no handshake followed. */
  readonly failedLooks: number;
}

/** A pair that nothing is known of, or whose keys were set anew. */
export function beginWatch(generation: number, reading?: PairReading): PairWatch {
  return {
    generation,
    lastHandshakeMs: reading?.lastHandshakeMs,
    sentBytes: reading?.sentBytes ?? 0,
    failedLooks: 0,
  };
}

/** @param generations what this node has, newest first; at least one. */
export function lookAt(
  watch: PairWatch,
  reading: PairReading,
  { nowMs, generations }: { nowMs: number; generations: readonly number[] },
): PairWatch {
  const { lastHandshakeMs, sentBytes } = reading;
  const isRenewed = lastHandshakeMs !== undefined && lastHandshakeMs !== watch.lastHandshakeMs;
  const isOverdue = lastHandshakeMs === undefined || nowMs - lastHandshakeMs > OVERDUE_MS;
  const isSending = sentBytes !== watch.sentBytes;
  const [newest = watch.generation, older = newest] = generations;
  const next = { ...watch, lastHandshakeMs, sentBytes };
  // What worked stays, also when it is the older one.
  if (isRenewed || !isOverdue) return { ...next, failedLooks: 0 };
  // Nobody waits any more: whoever comes next has the newest most likely.
  if (!isSending) return watch.failedLooks === 0 ? next : { ...next, generation: newest, failedLooks: 0 };
  const failedLooks = watch.failedLooks + 1;
  return { ...next, generation: failedLooks % TURNS === 1 ? older : newest, failedLooks };
}

/** Whether what is sent goes nowhere. */
export function isStale(watch: PairWatch, nowMs: number): boolean {
  return (
    watch.failedLooks > 0 && (watch.lastHandshakeMs === undefined || nowMs - watch.lastHandshakeMs > DEAD_MS)
  );
}
