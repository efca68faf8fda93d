/**
 * Asks the cluster to let this manager go. Edge: to the local manager's control API.
 * Invariant: without force nothing happens but an answer; with force the answer comes soon even when the
 * cluster has no leader, but while a leader works on the removal it is waited for: this manager's vote may be
 * what the removal needs. With force other managers are asked when the local one has no answer (it is being
 * started again, or broken), for a dead member would count for the quorum.
 */
import type { Clock } from "../base/clock/clock.js";
import { codeOf, messageOf, UnavailableError } from "../base/errors/errors.js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { leaderWait } from "../base/grpc/leader-wait.js";
import type { Logger } from "../base/log/logger.js";
import { openControlClient } from "../proto/late-control-client.js";
import { WITHOUT_CONSENT } from "./leave-through-others.js";
import type { LocalManager } from "./local-manager.js";

/** Above the ten seconds the leader waits for Raft to drop a member. */
const TIMEOUT_MS = 15_000;
/** Without a leader, or with one that died over the call: longer than an election where there can be one. */
const LEADERLESS_MS = 1_000;
const RETRY_MS = 20;

export interface LeaveRaftOptions {
  readonly nodeId: string;
  /** Go even when the cluster does not answer or does not agree. */
  readonly force: boolean;
  readonly localManager: Pick<LocalManager, "reached">;
  /** Asks the other managers themselves, for a few seconds at most. */
  readonly askOthers: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * @throws {UnavailableError} unless forced: the cluster's refusal, which says how many managers would stay,
 * or that the cluster cannot be asked.
 */
export async function leaveRaft(options: LeaveRaftOptions): Promise<void> {
  const { force } = options;
  try {
    await ask(options);
  } catch (error) {
    if (!force) throw refusal(error);
    await throughOthers(options, error);
  }
}

async function throughOthers({ askOthers, log }: LeaveRaftOptions, error: unknown): Promise<void> {
  const own = messageOf(error);
  const code = codeOf(error);
  if (code !== "unavailable" && code !== "deadline-exceeded") {
    log.warn(WITHOUT_CONSENT, { error: own });
    return;
  }
  try {
    await askOthers();
    log.info("another manager let this one go", { error: own });
  } catch (others) {
    log.warn(WITHOUT_CONSENT, { error: own, others: messageOf(others) });
  }
}

/** Docker answers 503 when a manager may not leave. */
function refusal(error: unknown): UnavailableError {
  if (codeOf(error) === "failed-precondition")
    return new UnavailableError(messageOf(error), { cause: error });
  return new UnavailableError(
    "You are attempting to leave the swarm on a node that is participating as a manager. Doing so may lose the " +
      `consensus of your cluster, which cannot be asked: ${messageOf(error)}. ` +
      "Use `--force` to suppress this message.",
    { cause: error },
  );
}

async function ask({ nodeId, force, localManager, clock, log }: LeaveRaftOptions): Promise<void> {
  // With force other managers may have the answer sooner than one that is being started.
  const endpoint = await localManager.reached(force ? LEADERLESS_MS : undefined);
  if (endpoint === undefined) throw new UnavailableError("this node's manager does not run");
  const { address, credentials, channel } = endpoint;
  const client = await openControlClient(address, credentials, { channelOverride: channel });
  const leave = client.leaveCluster.bind(client);
  const deadlineMs = clock.monotonicMs() + TIMEOUT_MS;
  let leaderlessMs: number | undefined;
  for (;;) {
    const startedMs = clock.monotonicMs();
    try {
      await callUnary(
        leave,
        { nodeId, force },
        { timeoutMs: TIMEOUT_MS, metadata: leaderWait(LEADERLESS_MS) },
      );
      return;
    } catch (error) {
      const code = codeOf(error);
      if (code === "unavailable") leaderlessMs ??= startedMs + LEADERLESS_MS;
      // A leader that leaves hands over first and says so: its successor is asked next. To ask twice does no
      // harm.
      const untilMs = code === "not-leader" ? deadlineMs : code === "unavailable" ? (leaderlessMs ?? 0) : 0;
      if (clock.monotonicMs() + RETRY_MS >= untilMs) throw error;
      log.debug("asking again to leave", { error: messageOf(error) });
      await clock.sleep(RETRY_MS);
    }
  }
}
