/**
 * Asks other managers to let this one go, when its own manager process cannot be asked.
 * Edge: to the other managers over mutual TLS, and to the node's files. Whom it asks must show a manager's
 * certificate, and it shows its own, with which it can take out nobody but itself. All known ones are asked
 * at once and the first consent counts; to ask twice does no harm. Bounds: five seconds, sixteen managers.
 */
import { codeOf, FailedPreconditionError, messageOf, UnavailableError } from "../base/errors/errors.js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { leaderWait } from "../base/grpc/leader-wait.js";
import type { Logger } from "../base/log/logger.js";
import { openControlClient } from "../proto/late-control-client.js";
import { certificateRole } from "./certificate-clock.js";
import { ManagerChannels } from "./manager-channels.js";
import type { TlsIdentity } from "./rpc-host.js";
import type { SwarmFiles, SwarmState } from "./swarm-files.js";

/** For finding a manager and for the removal: what is wished by then is done afterwards, too. */
const WITHIN_MS = 5_000;
/** This node may have been the leader: longer than an election. */
const LEADERLESS_MS = 3_000;
const ASKED_MAX = 16;

/** What leaving by force costs when nobody agreed: goes into the log. */
export const WITHOUT_CONSENT = "leaving without the cluster's consent";

/**
 * By force: without it a manager leaves only when its own manager process agrees.
 * @throws {FailedPreconditionError} this node's certificate is a worker's; {UnavailableError} nobody can be
 * asked; else what the most telling answer was.
 */
export async function leaveThroughOthers(
  state: Pick<SwarmState, "nodeId" | "advertiseAddress" | "managers">,
  identity: TlsIdentity,
): Promise<void> {
  const { nodeId, advertiseAddress, managers } = state;
  if (certificateRole(identity.certificatePem) !== "manager")
    throw new FailedPreconditionError("this node has no manager's certificate to ask other managers with");
  const others = [...new Set(managers)].filter((address) => address !== advertiseAddress);
  if (others.length === 0) throw new UnavailableError("no other manager is known");
  const channels = new ManagerChannels(identity);
  const enough = new AbortController();
  try {
    await Promise.any(
      others.slice(0, ASKED_MAX).map(async (address) => {
        const override = { channelOverride: channels.to(address) };
        const client = await openControlClient(address, channels.credentials(), override);
        return callUnary(
          client.leaveCluster.bind(client),
          { nodeId, force: true },
          { timeoutMs: WITHIN_MS, metadata: leaderWait(LEADERLESS_MS), signal: enough.signal },
        );
      }),
    );
  } catch (error) {
    const answers: unknown[] = error instanceof AggregateError ? error.errors : [error];
    throw answers.find((answer) => codeOf(answer) !== "unavailable") ?? answers[0];
  } finally {
    enough.abort();
    channels.close();
  }
}

/** As above, for a manager that did not come up, with what its files hold. Says in the log what it cannot do. */
export async function leaveAsSaved(files: Pick<SwarmFiles, "load">, log: Logger): Promise<void> {
  try {
    const saved = files.load();
    if (saved?.state.role !== "manager") return;
    if ("locked" in saved.identity) {
      throw new FailedPreconditionError(
        "this node's key is locked, so no other manager was asked: demote and remove the node there",
      );
    }
    await leaveThroughOthers(saved.state, saved.identity.identity);
  } catch (error) {
    log.warn(WITHOUT_CONSENT, { error: messageOf(error) });
  }
}
