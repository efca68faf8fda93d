/**
 * /version, /info, /_ping, /auth. Edge: to the facts of the node and the manager's control API.
 */
import type { RaftInspection } from "../../proto/gen/skein/v1/debug.js";
import { clusterSpecWarnings } from "../convert/cluster-spec.js";
import { infoOut } from "../convert/info-out.js";
import { isQuorumLost, managerWarnings } from "../convert/manager-warnings.js";
import { clusterOut } from "../convert/objects-out.js";
import type { JsonObject } from "../convert/shape.js";
import type { ManagerClients } from "../manager-clients.js";
import type { EngineBackend } from "../ports.js";
import type { Route } from "./route.js";

/** Newest Docker Engine API version spoken here, and the oldest. */
export const API_VERSION = "1.51";
export const API_VERSION_MIN = "1.24";

/** Longer than an election; who asks for info wants to know soon that there is no leader. */
const INFO_LEADER_WAIT_MS = 2_000;

function versionJson({ facts }: EngineBackend): JsonObject {
  const common = {
    ApiVersion: API_VERSION,
    MinAPIVersion: API_VERSION_MIN,
    Os: "linux",
    Arch: facts.architecture,
    KernelVersion: facts.kernelVersion,
  };
  return {
    Platform: { Name: "Skein" },
    Version: facts.version,
    ...common,
    GitCommit: "",
    GoVersion: "",
    BuildTime: "",
    Components: [
      {
        Name: "Engine",
        Version: facts.version,
        Details: {
          ...common,
          GitCommit: "",
          GoVersion: `node ${process.version}`,
          BuildTime: "",
          Experimental: "false",
        },
      },
    ],
  };
}

export function pingHeaders(backend: EngineBackend): Record<string, string> {
  const { state, controlAvailable } = backend.swarm.info();
  return {
    "Api-Version": API_VERSION,
    Ostype: "linux",
    "Docker-Experimental": "false",
    "Builder-Version": "1",
    Swarm: state === "active" ? `active/${controlAvailable ? "manager" : "worker"}` : state,
    "Cache-Control": "no-cache, no-store, must-revalidate",
    Pragma: "no-cache",
  };
}

export function systemRoutes(backend: EngineBackend, clients: ManagerClients): Route[] {
  const ping: Route["handle"] = async ({ response }) => {
    response.writeHead(200, { ...pingHeaders(backend), "Content-Type": "text/plain; charset=utf-8" });
    response.end("OK");
    return undefined;
  };
  /** Answered by this node's own manager, with or without a leader. */
  const ownMember = async (): Promise<RaftInspection | undefined> => {
    if (!backend.swarm.info().controlAvailable) return undefined;
    try {
      return await clients.inspectRaft({ startWaitMs: INFO_LEADER_WAIT_MS });
    } catch {
      return undefined; // it does not run now; `Swarm.Error` says why
    }
  };
  const swarmJson = async (
    member: RaftInspection | undefined,
    warn: (sentence: string) => void,
  ): Promise<JsonObject> => {
    const { nodeId, nodeAddr, state, controlAvailable, error, remoteManagers } = backend.swarm.info();
    const base: JsonObject = {
      NodeID: nodeId,
      NodeAddr: nodeAddr,
      LocalNodeState: state,
      ControlAvailable: controlAvailable,
      Error: error,
      RemoteManagers:
        remoteManagers.length > 0
          ? remoteManagers.map((manager) => ({ NodeID: manager.nodeId, Addr: manager.addr }))
          : null,
    };
    if (!controlAvailable) return base;
    if (member !== undefined && isQuorumLost(member))
      return { ...base, Error: "The swarm does not have a leader: too few managers are online." };
    try {
      const { cluster, nodes, managers } = await clients.call(
        (control) => control.getCluster,
        {},
        { leaderWaitMs: INFO_LEADER_WAIT_MS, startWaitMs: INFO_LEADER_WAIT_MS },
      );
      for (const sentence of clusterSpecWarnings(cluster?.spec)) warn(sentence);
      return {
        ...base,
        Nodes: nodes,
        Managers: managers,
        ...(cluster === undefined ? {} : { Cluster: clusterOut(cluster, { tokens: false }) }),
      };
    } catch (failure) {
      return { ...base, Error: failure instanceof Error ? failure.message : String(failure) };
    }
  };
  return [
    { method: "GET", path: "/_ping", handle: ping },
    { method: "HEAD", path: "/_ping", handle: ping },
    { method: "GET", path: "/version", handle: async () => ({ status: 200, json: versionJson(backend) }) },
    {
      method: "GET",
      path: "/info",
      handle: async () => {
        const member = await ownMember();
        const warnings = member === undefined ? [] : managerWarnings(member);
        const swarm = await swarmJson(member, (sentence) => warnings.push(sentence));
        return { status: 200, json: infoOut(backend, { swarm, warnings }) };
      },
    },
  ];
}
