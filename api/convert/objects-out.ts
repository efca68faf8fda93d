/**
 * Nodes, networks, secrets, configs and the cluster as Docker shows them. Pure.
 */
import type { Cluster, Config, Network, Node, Secret } from "../../proto/gen/skein/v1/objects.js";
import { NodeAvailability, NodeRole, NodeState } from "../../proto/gen/skein/v1/types.js";
import { ipamOut } from "./cluster-network-out.js";
import { clusterSpecOut } from "./cluster-spec.js";
import { metaOut } from "./service-out.js";
import { type JsonObject, nanoseconds, omitEmpty, timeText } from "./shape.js";
import { resourcesOut } from "./task-spec-out.js";
import { ClusterRoots } from "./tls-info-out.js";

const STATE_WORDS: Readonly<Record<string, string>> = {
  [NodeState.UNKNOWN]: "unknown",
  [NodeState.DOWN]: "down",
  [NodeState.READY]: "ready",
  [NodeState.DISCONNECTED]: "disconnected",
};
const AVAILABILITY_WORDS: Readonly<Record<string, string>> = {
  [NodeAvailability.ACTIVE]: "active",
  [NodeAvailability.PAUSE]: "pause",
  [NodeAvailability.DRAIN]: "drain",
};

/** Docker names architectures as the kernel does. */
export function machineName(architecture: string): string {
  return { amd64: "x86_64", arm64: "aarch64" }[architecture] ?? architecture;
}

export function nodeOut(node: Node, roots: ClusterRoots): JsonObject {
  const { spec, description, status, managerStatus } = node;
  return {
    ID: node.id,
    ...metaOut(node.meta),
    Spec: {
      ...omitEmpty({ Name: spec?.annotations?.name }),
      Labels: spec?.annotations?.labels ?? {},
      Role: spec?.desiredRole === NodeRole.MANAGER ? "manager" : "worker",
      Availability: AVAILABILITY_WORDS[spec?.availability ?? NodeAvailability.ACTIVE],
      ...(spec === undefined || spec.drainDeadlineMs === 0
        ? {}
        : { Skein: { DrainDeadline: nanoseconds(spec.drainDeadlineMs) } }),
    },
    Description: {
      Hostname: description?.hostname ?? "",
      Platform: {
        Architecture: machineName(description?.platform?.architecture ?? ""),
        OS: description?.platform?.os ?? "",
      },
      Resources: resourcesOut(description?.resources) ?? {},
      Engine: omitEmpty({
        EngineVersion: description?.engineVersion,
        Labels: description?.engineLabels,
        Plugins: description?.plugins.map(({ type, name }) => ({ Type: type, Name: name })),
      }),
      TLSInfo: roots.ofNode(description),
    },
    ...nodeExtrasOut(node),
    Status: {
      State: STATE_WORDS[status?.state ?? NodeState.UNKNOWN],
      ...omitEmpty({ Message: status?.message, Addr: status?.address }),
    },
    ...(managerStatus === undefined
      ? {}
      : {
          ManagerStatus: omitEmpty({
            Leader: managerStatus.leader,
            Reachability: managerStatus.reachability || "unknown",
            Addr: managerStatus.address,
          }),
        }),
  };
}

/** What Docker's nodes do not have, where there is something to tell. */
function nodeExtrasOut({ description, clockSkewMs, drainStartedAtMs }: Node): JsonObject {
  const extras = omitEmpty({
    Devices: description?.devices,
    ClockSkew: nanoseconds(clockSkewMs),
    NetworkTrouble: description?.networkTrouble,
    PathMTU: description?.pathMtuBytes,
    DrainStartedAt: drainStartedAtMs === 0 ? undefined : timeText(drainStartedAtMs),
  });
  return Object.keys(extras).length === 0 ? {} : { Skein: extras };
}

/** The shorter form inside a task's attachments. */
export function networkInTask(network: Network): JsonObject {
  const { spec } = network;
  return {
    ID: network.id,
    ...metaOut(network.meta),
    Spec: {
      Name: spec?.annotations?.name ?? "",
      Labels: spec?.annotations?.labels ?? {},
      DriverConfiguration: { Name: spec?.driver || "overlay" },
      ...omitEmpty({ Ingress: spec?.ingress, Attachable: spec?.attachable, Internal: spec?.internal }),
      IPAMOptions: { Driver: { Name: spec?.ipamDriver || "default" } },
      Scope: "swarm",
    },
    DriverState: {
      Name: "overlay",
      Options: { "com.docker.network.driver.overlay.vxlanid_list": String(network.vni) },
    },
    IPAMOptions: { Driver: { Name: "default" }, Configs: network.ipam.map(ipamOut) },
  };
}

export function secretOut(secret: Secret): JsonObject {
  return {
    ID: secret.id,
    ...metaOut(secret.meta),
    Spec: {
      Name: secret.annotations?.name ?? "",
      Labels: secret.annotations?.labels ?? {},
      ...omitEmpty({
        Driver:
          secret.driverName === "" ? undefined : { Name: secret.driverName, Options: secret.driverOptions },
        Templating: secret.templateDriver === "" ? undefined : { Name: secret.templateDriver },
      }),
    },
    ...versionsOut(secret),
  };
}

export function configOut(config: Config): JsonObject {
  return {
    ID: config.id,
    ...metaOut(config.meta),
    Spec: {
      Name: config.annotations?.name ?? "",
      Labels: config.annotations?.labels ?? {},
      Data: Buffer.from(config.data).toString("base64"),
      ...omitEmpty({
        Templating: config.templateDriver === "" ? undefined : { Name: config.templateDriver },
      }),
    },
    ...versionsOut(config),
  };
}

/** Beside Docker's keys: the number of the data, and those of the data that is kept to go back to. */
function versionsOut({ dataVersion, oldVersions }: Secret | Config): JsonObject {
  const kept = oldVersions.map(({ number, createdAtMs }) => ({
    Number: number,
    CreatedAt: timeText(createdAtMs),
  }));
  return { DataVersion: dataVersion || 1, ...omitEmpty({ OldVersions: kept }) };
}

/** Which generation of the key of encrypted networks; never the key. */
function networkKeyOut({ networkKeys }: Cluster): JsonObject {
  const newest = networkKeys[0];
  if (newest === undefined) return {};
  return { Skein: { NetworkKey: { Generation: newest.generation, MadeAt: timeText(newest.madeAtMs) } } };
}

/** @param options.tokens also the join tokens, as GET /swarm shows them and GET /info does not. */
export function clusterOut(cluster: Cluster, options: { tokens: boolean }): JsonObject {
  return {
    ID: cluster.id,
    ...metaOut(cluster.meta),
    Spec: clusterSpecOut(cluster.spec),
    TLSInfo: new ClusterRoots(cluster.rootCa).ofCluster(),
    RootRotationInProgress: cluster.rootCa?.rotation !== undefined,
    DefaultAddrPool: cluster.defaultAddressPool,
    SubnetSize: cluster.subnetSize,
    DataPathPort: cluster.vxlanUdpPort,
    ...networkKeyOut(cluster),
    ...(options.tokens
      ? {
          JoinTokens: {
            Worker: cluster.rootCa?.workerToken ?? "",
            Manager: cluster.rootCa?.managerToken ?? "",
          },
        }
      : {}),
  };
}
