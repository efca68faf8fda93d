/**
 * This node's manager process, made for its addresses, and joined to the others.
 * Edge: to the manager process and its folder.
 */
import { parseHostPort } from "./address.js";
import { removeFolder } from "./atomic-file.js";
import { fetchUnlockKey } from "./join-client.js";
import { ManagerChild } from "./manager-child.js";
import type { TlsIdentity } from "./rpc-host.js";
import { DEFAULT_PORT } from "./swarm-addresses.js";
import type { SwarmState } from "./swarm-files.js";
import type { SwarmLifecycleOptions } from "./swarm-lifecycle-options.js";

/** Not started yet. */
export function newManager(
  options: SwarmLifecycleOptions,
  addresses: { readonly listenAddress: string; readonly advertiseAddress: string },
): ManagerChild {
  const { managerDir, localManager, managerUser, logLevel, lock, clock, random, log, hostname } = options;
  return new ManagerChild({
    place: {
      dir: managerDir,
      socketPath: localManager.socketPath,
      listen: parseHostPort(addresses.listenAddress, DEFAULT_PORT),
      advertiseAddress: addresses.advertiseAddress,
      hostname,
    },
    user: managerUser,
    logLevel,
    lock,
    askSecretDriver: async (driver, request) => {
      const { askSecretPlugin } = await import("../worker/plugins/unix-secret-plugin.js");
      return askSecretPlugin(driver, request);
    },
    clock,
    random,
    log,
  });
}

/** Begins with an empty folder: what an earlier manager left there is of no use to a new member. */
export async function joinAsManager(
  options: SwarmLifecycleOptions,
  state: SwarmState,
  identity: TlsIdentity,
): Promise<ManagerChild> {
  removeFolder(options.managerDir);
  const unlockKey = await fetchUnlockKey(identity, state.managers);
  options.lock.reset({ unlockKey, former: [] });
  const manager = newManager(options, state);
  await manager.start({
    kind: "join",
    nodeId: state.nodeId,
    clusterId: state.clusterId,
    identity,
    managers: state.managers,
  });
  return manager;
}
