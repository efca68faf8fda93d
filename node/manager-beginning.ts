/**
 * How a manager begins: it founds a cluster, joins one, or resumes.
 * Edge: to @grpc/grpc-js for the join; making the first certificates is manager/ca's.
 */
import type { Clock } from "../base/clock/clock.js";
import { messageOf, SkeinError, UnavailableError } from "../base/errors/errors.js";
import { callUnary } from "../base/grpc/grpc-call.js";
import type { Random } from "../base/random/random.js";
import { type Bootstrap, bootstrapCluster, storeBootstrap } from "../manager/ca/bootstrap-cluster.js";
import type { Store } from "../manager/store/types.js";
import { type JoinReply, RaftMembershipClient } from "../proto/gen/skein/v1/raft.js";
import { ClusterSpec } from "../proto/gen/skein/v1/types.js";
import type { ForcedCluster } from "../raft/host/force-new-cluster.js";
import type { RaftStart } from "../raft/host/host.js";
import type { RaftNode } from "../raft/host/raft-node.js";
import { parseHostPort } from "./address.js";
import type { ManagerChannels } from "./manager-channels.js";
import type { ManagerConfig } from "./manager-messages.js";
import type { TlsIdentity } from "./rpc-host.js";
import { DEFAULT_PORT } from "./swarm-addresses.js";

const JOIN_TIMEOUT_MS = 20_000;

/** The founder's own certificate. */
export function identityOf(founded: Bootstrap | undefined): TlsIdentity {
  return {
    certificatePem: founded?.certificatePem ?? "",
    keyPem: founded?.keyPem ?? "",
    rootCaPem: founded?.caCertPem ?? "",
  };
}

/** The cluster a founder makes; undefined when this manager joins or resumes. */
export async function found(
  { mode, place }: ManagerConfig,
  { clock, random }: { clock: Clock; random: Random },
): Promise<Bootstrap | undefined> {
  if (mode.kind !== "init") return undefined;
  return bootstrapCluster({
    random: random.child("bootstrap"),
    nowMs: clock.nowMs(),
    spec: ClusterSpec.fromPartial({
      ...mode.spec,
      autoLockManagers: mode.autolock || mode.spec?.autoLockManagers === true,
    }),
    addressPools: mode.addressPools,
    subnetSize: mode.subnetSize,
    vxlanUdpPort: mode.vxlanUdpPort,
    availability: mode.availability,
    advertiseIp: parseHostPort(place.advertiseAddress, DEFAULT_PORT).host,
  });
}

/**
 * How Raft begins here. `onForced` hears of a forced new cluster before its member takes part.
 * @throws {UnavailableError} no manager let this one join; else what the first one said.
 */
export async function startOf(
  { mode, place }: ManagerConfig,
  channels: ManagerChannels,
  nodeId: string,
  onForced: (account: ForcedCluster) => void,
): Promise<RaftStart> {
  if (mode.kind === "init") return { kind: "bootstrap" };
  if (mode.kind === "resume") return { kind: "restart" };
  if (mode.kind === "force-new-cluster") return { kind: "force-new-cluster", onForced };
  let last: unknown;
  for (const address of mode.managers.filter((candidate) => candidate !== place.advertiseAddress)) {
    try {
      const reply: JoinReply = await joinRaft(channels, address, { nodeId, address: place.advertiseAddress });
      return { kind: "join", raftId: reply.raftId, members: reply.members, removed: reply.removed };
    } catch (error) {
      last = error;
      if (!(error instanceof SkeinError) || error.code !== "unavailable") throw error;
    }
  }
  throw new UnavailableError(`no manager let this node join raft: ${messageOf(last)}`, { cause: last });
}

function joinRaft(
  channels: ManagerChannels,
  address: string,
  request: { nodeId: string; address: string },
): Promise<JoinReply> {
  const client = new RaftMembershipClient(address, channels.credentials(), {
    channelOverride: channels.to(address),
  });
  return callUnary(client.join.bind(client), request, { timeoutMs: JOIN_TIMEOUT_MS });
}

/** A founder elects itself within a tick or two; then the first objects are written. */
export async function storeWhenLeading(raft: RaftNode, store: Store, founded: Bootstrap): Promise<void> {
  await whenLeading(raft);
  await store.update((tx) => storeBootstrap(tx, founded));
}

/** Resolves when this member leads and has applied all that was committed before. */
export async function whenLeading(raft: RaftNode): Promise<void> {
  await new Promise<void>((resolve) => {
    let done = false;
    const unsubscribe = raft.onLeadership(({ isLeader }) => {
      if (isLeader && !done) {
        done = true;
        resolve();
        queueMicrotask(() => unsubscribe());
      }
    });
  });
  await raft.readBarrier();
}
