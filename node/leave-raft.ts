/**
 * Asks the cluster to let this manager go. Edge: to the local manager's control API.
 */
import type { Clock } from "../base/clock/clock.js";
import { codeOf, messageOf } from "../base/errors/errors.js";
import { callUnary } from "../base/grpc/grpc-call.js";
import type { Logger } from "../base/log/logger.js";
import { ControlClient } from "../proto/gen/skein/v1/control.js";
import type { LocalManager } from "./local-manager.js";

/** Above the ten seconds the leader waits for Raft to drop a member. */
const TIMEOUT_MS = 15_000;
const RETRY_MS = 100;

export interface LeaveRaftOptions {
  readonly nodeId: string;
  /** Go even when the cluster does not answer or does not agree. */
  readonly force: boolean;
  readonly localManager: LocalManager;
  readonly clock: Clock;
  readonly log: Logger;
}

/** @throws the cluster's refusal, unless forced. */
export async function leaveRaft({
  nodeId,
  force,
  localManager,
  clock,
  log,
}: LeaveRaftOptions): Promise<void> {
  const endpoint = localManager.endpoint();
  if (endpoint === undefined) return;
  const { address, credentials, channel } = endpoint;
  const client = new ControlClient(address, credentials, { channelOverride: channel });
  const deadlineMs = clock.monotonicMs() + TIMEOUT_MS;
  for (;;) {
    try {
      await callUnary(client.leaveCluster.bind(client), { nodeId, force }, { timeoutMs: TIMEOUT_MS });
      return;
    } catch (error) {
      // A leader that leaves hands over first and says so: its successor is asked next.
      if (codeOf(error) === "not-leader" && clock.monotonicMs() < deadlineMs) {
        await clock.sleep(RETRY_MS);
        continue;
      }
      if (!force) throw error;
      log.warn("leaving without the cluster's consent", { error: messageOf(error) });
      return;
    }
  }
}
