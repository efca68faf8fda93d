/**
 * How a node becomes a member: it founds a swarm or joins one.
 * Edge: to the manager process, the managers asked, and the node's files. Either everything is saved and the
 * manager (if the node is one) serves, or nothing is: a failed beginning leaves no state behind.
 */
import type { SwarmInitRequest, SwarmJoinRequest } from "../api/ports.js";
import { UnavailableError } from "../base/errors/errors.js";
import { NodeRole } from "../proto/gen/skein/v1/types.js";
import { formatHostPort, parseHostPort } from "./address.js";
import { removeFolder } from "./atomic-file.js";
import { requestIdentity } from "./join-client.js";
import type { ManagerChild } from "./manager-child.js";
import type { ManagerMode } from "./manager-messages.js";
import { joinAsManager, newManager } from "./node-manager.js";
import type { TlsIdentity } from "./rpc-host.js";
import { NO_LOCK } from "./sealed-identity.js";
import { DEFAULT_PORT, type SwarmAddresses, swarmAddresses } from "./swarm-addresses.js";
import type { SwarmState } from "./swarm-files.js";
import type { SwarmLifecycleOptions } from "./swarm-lifecycle-options.js";

const DEFAULT_POOL = ["10.0.0.0/8"];
const DEFAULT_SUBNET_SIZE = 24;
const DEFAULT_VXLAN_PORT = 4789;

/** What a member begins with; saved already. */
export interface Beginning {
  readonly state: SwarmState;
  readonly identity: TlsIdentity;
  readonly manager: ManagerChild | undefined;
}

export async function foundSwarm(
  options: SwarmLifecycleOptions,
  request: SwarmInitRequest,
): Promise<Beginning> {
  const addresses = swarmAddresses(request);
  return beginAlone(options, addresses, {
    kind: "init",
    spec: request.spec,
    addressPools: request.defaultAddrPool.length > 0 ? request.defaultAddrPool : DEFAULT_POOL,
    subnetSize: request.subnetSize || DEFAULT_SUBNET_SIZE,
    vxlanUdpPort: request.dataPathPort || DEFAULT_VXLAN_PORT,
    availability: request.availability,
    autolock: request.autoLockManagers,
  });
}

/** The first manager of a swarm, which tells who it is: it made the certificate itself. */
async function beginAlone(
  options: SwarmLifecycleOptions,
  addresses: SwarmAddresses,
  mode: ManagerMode,
): Promise<Beginning> {
  removeFolder(options.managerDir);
  options.lock.reset();
  const manager = newManager(options, addresses);
  try {
    const { identity, nodeId, clusterId, unlockKey } = await manager.start(mode);
    if (identity === undefined) throw new UnavailableError("the manager made no certificate");
    options.lock.reset({ unlockKey, former: [] });
    const managers = [addresses.advertiseAddress];
    const state: SwarmState = { ...addresses, nodeId, clusterId, role: "manager", managers };
    saveMember(options, state, identity);
    return { state, identity, manager };
  } catch (error) {
    await undo(options, manager);
    throw error;
  }
}

/** What a beginning that failed has made. */
async function undo(options: SwarmLifecycleOptions, manager: ManagerChild | undefined): Promise<void> {
  await manager?.stop();
  options.lock.reset();
  removeFolder(options.managerDir);
  options.files.remove();
}

export async function joinSwarm(
  options: SwarmLifecycleOptions,
  request: SwarmJoinRequest,
): Promise<Beginning> {
  const remoteAddresses = request.remoteAddrs.map((text) =>
    formatHostPort(parseHostPort(text, DEFAULT_PORT)),
  );
  const addresses = swarmAddresses(request);
  const { identity, reply } = await requestIdentity({
    token: request.joinToken,
    remoteAddresses,
    availability: request.availability,
    labels: request.labels,
    advertiseIp: parseHostPort(addresses.advertiseAddress, DEFAULT_PORT).host,
  });
  const state: SwarmState = {
    ...addresses,
    nodeId: reply.nodeId,
    clusterId: reply.clusterId,
    role: reply.role === NodeRole.MANAGER ? "manager" : "worker",
    managers: reply.managerAddresses.length > 0 ? reply.managerAddresses : remoteAddresses,
  };
  if (state.role === "worker") {
    saveMember(options, state, identity);
    return { state, identity, manager: undefined };
  }
  // Raft counts this node from the join on. Should the daemon die before it has noted that, it comes back
  // as a worker that is wished to be a manager, and joins again under the same node id.
  saveMember(options, { ...state, role: "worker" }, identity);
  let manager: ManagerChild | undefined;
  try {
    manager = await joinAsManager(options, state, identity);
    saveMember(options, state, identity);
    return { state, identity, manager };
  } catch (error) {
    await undo(options, manager);
    throw error;
  }
}

export function saveMember(
  { files, lock }: Pick<SwarmLifecycleOptions, "files" | "lock">,
  state: SwarmState,
  identity: TlsIdentity,
): void {
  files.saveIdentity(identity, state.role === "manager" ? lock.current : NO_LOCK);
  files.saveState(state);
}
