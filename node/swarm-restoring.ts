/**
 * How a node becomes the only manager of a swarm that was backed up.
 * Edge: to the restoring process, the manager process and the node's files. Invariant: a failure leaves no
 * state behind; a crash leaves a mark, and the next start removes what it marks, or everything was saved.
 */
import type { SwarmRestoreAccount, SwarmRestoreRequest } from "../api/ports.js";
import { removeFolder } from "./atomic-file.js";
import type { ManagerChild } from "./manager-child.js";
import { newManager } from "./node-manager.js";
import { restoreInProcess } from "./process-restore.js";
import type { RestoreOutcome } from "./restore-state.js";
import { swarmAddresses } from "./swarm-addresses.js";
import { type Beginning, saveMember } from "./swarm-beginning.js";
import type { SwarmState } from "./swarm-files.js";
import type { SwarmLifecycleOptions } from "./swarm-lifecycle-options.js";

export async function restoreSwarm(
  options: SwarmLifecycleOptions,
  request: SwarmRestoreRequest,
  signal: AbortSignal,
): Promise<{ readonly beginning: Beginning; readonly account: SwarmRestoreAccount }> {
  const addresses = swarmAddresses(request);
  const { files, managerDir: dir, managerUser: user, logLevel, clock } = options;
  const { secret, availability, file, onProgress } = request;
  const { advertiseAddress } = addresses;
  let manager: ManagerChild | undefined;
  let state: SwarmState;
  let outcome: RestoreOutcome;
  files.markRestoring();
  try {
    removeFolder(dir);
    const config = { dir, secret, advertiseAddress, availability, user, logLevel };
    outcome = await restoreInProcess({ config, file, onProgress, signal, clock });
    const { nodeId, clusterId, identity } = outcome;
    options.lock.reset({ unlockKey: outcome.unlockKey, former: [] });
    manager = newManager(options, addresses);
    await manager.start({ kind: "resume", nodeId, clusterId, identity });
    state = { ...addresses, nodeId, clusterId, role: "manager", managers: [advertiseAddress] };
    saveMember(options, state, identity);
  } catch (error) {
    await manager?.stop();
    options.lock.reset();
    removeFolder(dir);
    files.remove();
    throw error;
  }
  files.endRestoring();
  const account = accountOf(outcome);
  const { nodeId, clusterId, index, objects, backup } = account;
  options.log.info("swarm restored from a backup", {
    nodeId,
    clusterId,
    index,
    objects,
    backup: backup.index,
  });
  return { beginning: { state, identity: outcome.identity, manager }, account };
}

/** After a start: what a crash left of a restore that did not come to its end. */
export function clearRestoring({ files, managerDir }: SwarmLifecycleOptions, isMember: boolean): void {
  if (!files.isRestoring) return;
  if (isMember) {
    files.endRestoring();
    return;
  }
  removeFolder(managerDir);
  files.remove();
}

/** Without the keys. */
function accountOf(outcome: RestoreOutcome): SwarmRestoreAccount {
  const { nodeId, clusterId, objects, index, backup, formerManagers, unlockKey } = outcome;
  return { nodeId, clusterId, objects, index, backup, formerManagers, autolock: unlockKey !== "" };
}
