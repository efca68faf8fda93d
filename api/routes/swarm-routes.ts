/**
 * /swarm. Edge: to the daemon's swarm life cycle and the manager's control API.
 */
import { NotFoundError } from "../../base/errors/errors.js";
import type { ClusterSpec } from "../../proto/gen/skein/v1/types.js";
import { clusterSpecIn, newClusterSpecIn } from "../convert/cluster-spec.js";
import type { Fields } from "../convert/fields.js";
import { clusterOut } from "../convert/objects-out.js";
import type { JsonObject } from "../convert/shape.js";
import type { ManagerClients } from "../manager-clients.js";
import type { SwarmBackend, SwarmRecovery } from "../ports.js";
import { AVAILABILITIES } from "./node-routes.js";
import type { Route } from "./route.js";

function specOf(fields: Fields | undefined): ClusterSpec | undefined {
  return fields === undefined ? undefined : newClusterSpecIn(fields);
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
          spec: specOf(body.object("Spec")),
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
        const { cluster } = await clients.call((control) => control.getCluster, {});
        await clients.call((control) => control.updateCluster, {
          version: exchange.version(),
          spec: clusterSpecIn(body, cluster?.spec),
          rotateWorkerToken: exchange.flag("rotateWorkerToken"),
          rotateManagerToken: exchange.flag("rotateManagerToken"),
          rotateUnlockKey: exchange.flag("rotateManagerUnlockKey"),
          rotateNetworkKey: exchange.flag("rotateNetworkKey"),
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
