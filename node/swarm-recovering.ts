/**
 * How the survivor of a lost quorum goes on alone: addresses, refusals, and the manager started anew.
 * Edge: to the manager process and its control API. Invariant: a cluster that still has its quorum is left
 * alone, and a failure leaves the manager as it was.
 */
import type { SwarmInitRequest } from "../api/ports.js";
import { messageOf, UnavailableError } from "../base/errors/errors.js";
import { callUnary } from "../base/grpc/grpc-call.js";
import { leaderWait } from "../base/grpc/leader-wait.js";
import { openControlClient } from "../proto/late-control-client.js";
import { parseHostPort } from "./address.js";
import { DEFAULT_PORT, type SwarmAddresses, swarmAddresses } from "./swarm-addresses.js";
import type { SwarmState } from "./swarm-files.js";
import type { SwarmLifecycleOptions } from "./swarm-lifecycle-options.js";

/** What the stock CLI sends when nothing was said. */
const UNSAID_LISTEN = `0.0.0.0:${DEFAULT_PORT}`;
/** Longer than an election where one can be won. */
const QUORUM_WAIT_MS = 4_000;

/** The addresses from now on: those of before, but for what the request names. */
export function forcedAddresses(request: SwarmInitRequest, before: SwarmState): SwarmAddresses {
  const { listenAddr, advertiseAddr, dataPathAddr } = request;
  const listenAddress = listenAddr === "" || listenAddr === UNSAID_LISTEN ? before.listenAddress : listenAddr;
  const dataPath = dataPathAddr !== "" || advertiseAddr !== "" ? dataPathAddr : before.dataPathAddress;
  const port = parseHostPort(before.advertiseAddress, DEFAULT_PORT).port;
  const advertise = advertiseAddr === "" ? before.advertiseAddress : advertiseAddr;
  const addresses = swarmAddresses({
    listenAddr: listenAddress,
    advertiseAddr: /:\d+$/.test(advertise) ? advertise : `${advertise}:${port}`,
    dataPathAddr: dataPath,
  });
  return addresses;
}

/**
 * @throws {UnavailableError} the swarm has a quorum without this being the last resort: two swarms would go
 * on under one name.
 */
export async function refuseWithQuorum(
  options: Pick<SwarmLifecycleOptions, "localManager" | "log">,
): Promise<void> {
  // One that is still starting may find its quorum yet.
  const endpoint = await options.localManager.reached(QUORUM_WAIT_MS);
  if (endpoint === undefined) return;
  const { address, credentials, channel } = endpoint;
  const control = await openControlClient(address, credentials, { channelOverride: channel });
  let managers: number;
  try {
    const reply = await callUnary(
      control.getCluster.bind(control),
      {},
      { timeoutMs: QUORUM_WAIT_MS + 1_000, metadata: leaderWait(QUORUM_WAIT_MS) },
    );
    managers = reply.managers;
  } catch (error) {
    options.log.info("forcing a new cluster: the old one does not answer", { error: messageOf(error) });
    return;
  }
  if (managers <= 1) return; // the only manager may have another address
  throw new UnavailableError(
    `this swarm has ${managers} managers and a working quorum: forcing a new cluster would leave two swarms. ` +
      "Demote or remove the managers you want to be without: skein node demote, skein node rm",
  );
}
