/**
 * What a client may conclude from an answer: done, surely not done, or nobody knows. Pure. Invariant:
 * "refused" is said only of answers that promise that nothing was or will be done; all others are "unknown",
 * so that a change which happened all the same is no surprise, and one that was promised not to happen is.
 * Source: node/leader-gate.ts and raft/host/proposals.ts, where these words are made.
 */

/** One HTTP exchange as its caller saw it. */
export interface Answer {
  /** 0: there was none. */
  readonly status: number;
  /** Docker's `message`, or why there is no answer. */
  readonly message: string;
  readonly json: unknown;
  /** False when not even a connection was made. */
  readonly sent: boolean;
}

export type Outcome = "ok" | "refused" | "unknown";

/** Raised before a proposal, or when it is certain that the proposed entry never will be committed. */
const NEVER_DONE = [
  /^the swarm has no leader/,
  /^the cluster has no leader, and too many calls wait for one/,
  /^This node is not a swarm manager/,
  /^nothing was done: /,
  /this manager does not lead/,
  /^propose: not the leader/,
  /^the proposed entry was replaced/,
  /already wait(s)?\b.*\(retry after \d+ ms\)$/,
  /already wait for commit/,
  // grpc-js: no connection to put the call on
  /^(14 UNAVAILABLE: )?No connection established/,
  /^(14 UNAVAILABLE: )?(read|connect) (ECONNREFUSED|ENOENT)/,
];

export function outcomeOf({ status, message, sent }: Answer): Outcome {
  if (status >= 200 && status < 300) return "ok";
  if (!sent) return "refused";
  if (status >= 400 && status < 500 && status !== 499) return "refused";
  if (status === 503 && NEVER_DONE.some((words) => words.test(message))) return "refused";
  return "unknown";
}

/** Connecting to a unix socket failed: the request never left. */
export function isConnectFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, syscall } = error as NodeJS.ErrnoException;
  return syscall === "connect" && (code === "ECONNREFUSED" || code === "ENOENT");
}
