/**
 * /swarm. Edge: to the daemon's swarm life cycle and the manager's control API.
 */
import { InvalidArgumentError, NotFoundError, NotImplementedError } from "../../base/errors/errors.js";
import { ClusterSpec } from "../../proto/gen/skein/v1/types.js";
import type { Fields } from "../convert/fields.js";
import { clusterOut } from "../convert/objects-out.js";
import type { JsonObject } from "../convert/shape.js";
import type { ManagerClients } from "../manager-clients.js";
import type { SwarmBackend, SwarmRecovery } from "../ports.js";
import { AVAILABILITIES } from "./node-routes.js";
import type { Route } from "./route.js";

/**
 * Settings that are stored nowhere because nobody would follow them; Docker's defaults,
 * which its CLI sends, pass.
 */
function refuseUnfollowed(fields: Fields): void {
  const raft = fields.object("Raft");
  const unfollowed: readonly (readonly [path: string, given: unknown, fine: readonly unknown[]])[] = [
    ["Raft.SnapshotInterval", raft?.integer("SnapshotInterval"), [0, 10_000]],
    ["Raft.KeepOldSnapshots", raft?.integer("KeepOldSnapshots"), [0]],
    ["Raft.LogEntriesForSlowFollowers", raft?.integer("LogEntriesForSlowFollowers"), [0, 500]],
    ["TaskDefaults.LogDriver", fields.object("TaskDefaults")?.object("LogDriver")?.string("Name"), [""]],
  ];
  for (const [path, given, fine] of unfollowed) {
    if (given !== undefined && !fine.includes(given)) {
      throw new NotImplementedError(`Spec.${path} is not supported yet, got ${JSON.stringify(given)}`);
    }
  }
}

function clusterSpecIn(fields: Fields | undefined): ClusterSpec | undefined {
  if (fields === undefined) return undefined;
  refuseUnfollowed(fields);
  const raft = fields.object("Raft");
  const ca = fields.object("CAConfig");
  const logDriver = fields.object("TaskDefaults")?.object("LogDriver");
  raft?.integer("ElectionTick");
  raft?.integer("HeartbeatTick");
  const renewal = ca?.optionalDurationMs("NodeCertExpiry") ?? 0;
  if (renewal !== 0 && renewal < 3_600_000)
    throw new InvalidArgumentError("minimum certificate expiry time is 1h0m0s");
  return ClusterSpec.fromPartial({
    annotations: { name: fields.string("Name") || "default", labels: fields.stringMap("Labels") },
    taskHistoryRetentionLimit: fields
      .object("Orchestration")
      ?.optionalInteger("TaskHistoryRetentionLimit", { min: -1 }),
    snapshotInterval: raft?.integer("SnapshotInterval") ?? 0,
    keepOldSnapshots: raft?.integer("KeepOldSnapshots") ?? 0,
    logEntriesForSlowFollowers: raft?.integer("LogEntriesForSlowFollowers") ?? 0,
    heartbeatPeriodMs: fields.object("Dispatcher")?.optionalDurationMs("HeartbeatPeriod") ?? 0,
    nodeCertExpiryMs: renewal,
    externalCas: (ca?.objects("ExternalCAs") ?? []).map((external) => ({
      protocol: external.string("Protocol"),
      url: external.string("URL"),
      options: external.stringMap("Options"),
      caCert: new Uint8Array(Buffer.from(external.string("CACert"))),
    })),
    signingCaCert: ca?.string("SigningCACert") ?? "",
    signingCaKey: ca?.string("SigningCAKey") ?? "",
    forceRotate: ca?.integer("ForceRotate") ?? 0,
    autoLockManagers: fields.object("EncryptionConfig")?.bool("AutoLockManagers") ?? false,
    defaultLogDriver:
      logDriver === undefined
        ? undefined
        : { name: logDriver.string("Name"), options: logDriver.stringMap("Options") },
  });
}

/**
 * The stock CLI sends the heartbeat default of Docker, 5 s, with every init; only another value was meant.
 */
const DOCKER_DEFAULT_HEARTBEAT_MS = 5_000;

function initSpecIn(fields: Fields | undefined): ClusterSpec | undefined {
  const spec = clusterSpecIn(fields);
  return spec?.heartbeatPeriodMs === DOCKER_DEFAULT_HEARTBEAT_MS ? { ...spec, heartbeatPeriodMs: 0 } : spec;
}

function recoveryOut(recovery: SwarmRecovery): JsonObject {
  return {
    At: new Date(recovery.atMs).toISOString(),
    NodeID: recovery.nodeId,
    Addr: recovery.address,
    LastIndex: recovery.lastIndex,
    LastTerm: recovery.lastTerm,
    CommitIndex: recovery.commitIndex,
    Dropped: recovery.dropped.map(({ nodeId, hostname, address }) => ({
      NodeID: nodeId,
      Hostname: hostname,
      Addr: address,
    })),
    Missing: [...recovery.missing],
  };
}

/** @param defaultAdvertiseAddr for init and join that name none; "" : found out. */
export function swarmRoutes(
  clients: ManagerClients,
  swarm: SwarmBackend,
  defaultAdvertiseAddr: () => string,
): Route[] {
  return [
    {
      method: "GET",
      path: "/swarm",
      handle: async () => {
        const { cluster } = await clients.call((control) => control.getCluster, {});
        return { status: 200, json: cluster && clusterOut(cluster, { tokens: true }) };
      },
    },
    {
      method: "POST",
      path: "/swarm/init",
      handle: async (exchange) => {
        const body = await exchange.body();
        const nodeId = await swarm.init({
          listenAddr: body.string("ListenAddr"),
          advertiseAddr: body.string("AdvertiseAddr") || defaultAdvertiseAddr(),
          dataPathAddr: body.string("DataPathAddr"),
          dataPathPort: body.integer("DataPathPort"),
          defaultAddrPool: body.strings("DefaultAddrPool"),
          subnetSize: body.integer("SubnetSize"),
          forceNewCluster: body.bool("ForceNewCluster"),
          availability: body.oneOf("Availability", AVAILABILITIES),
          autoLockManagers: body.bool("AutoLockManagers"),
          spec: initSpecIn(body.object("Spec")),
        });
        return { status: 200, json: nodeId };
      },
    },
    {
      method: "GET",
      path: "/skein/v1/swarm/recovery",
      handle: async () => {
        const recovery = swarm.recovery();
        if (recovery === undefined) throw new NotFoundError("this node has not forced a new cluster");
        return { status: 200, json: recoveryOut(recovery) };
      },
    },
    {
      method: "POST",
      path: "/swarm/join",
      handle: async (exchange) => {
        const body = await exchange.body();
        await swarm.join({
          listenAddr: body.string("ListenAddr"),
          advertiseAddr: body.string("AdvertiseAddr") || defaultAdvertiseAddr(),
          dataPathAddr: body.string("DataPathAddr"),
          remoteAddrs: body.strings("RemoteAddrs"),
          joinToken: body.string("JoinToken"),
          availability: body.oneOf("Availability", AVAILABILITIES),
          labels: body.stringMap("Labels"),
        });
        return { status: 200 };
      },
    },
    {
      method: "POST",
      path: "/swarm/leave",
      handle: async (exchange) => {
        await swarm.leave({ force: exchange.flag("force") });
        return { status: 200 };
      },
    },
    {
      method: "POST",
      path: "/swarm/update",
      handle: async (exchange) => {
        const body = await exchange.body();
        await clients.call((control) => control.updateCluster, {
          version: exchange.version(),
          spec: clusterSpecIn(body),
          rotateWorkerToken: exchange.flag("rotateWorkerToken"),
          rotateManagerToken: exchange.flag("rotateManagerToken"),
          rotateUnlockKey: exchange.flag("rotateManagerUnlockKey"),
        });
        return { status: 200 };
      },
    },
    {
      method: "GET",
      path: "/swarm/unlockkey",
      handle: async () => {
        const { unlockKey } = await clients.call((control) => control.getUnlockKey, {});
        return { status: 200, json: { UnlockKey: unlockKey } };
      },
    },
    {
      method: "POST",
      path: "/swarm/unlock",
      handle: async (exchange) => {
        await swarm.unlock((await exchange.body()).string("UnlockKey"));
        return { status: 200 };
      },
    },
  ];
}
