/**
 * /version, /info, /_ping, /auth. Edge: to the facts of the node and the manager's control API.
 */
import type { RaftInspection } from "../../proto/gen/skein/v1/debug.js";
import { isQuorumLost, managerWarnings } from "../convert/manager-warnings.js";
import { clusterOut, machineName } from "../convert/objects-out.js";
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

/** Registries without TLS: ranges and names apart, as Docker tells them. */
export function registryConfig(insecure: readonly string[]): JsonObject {
  const index = (name: string, official: boolean): JsonObject => ({
    Name: name,
    Mirrors: [],
    Secure: official,
    Official: official,
  });
  const names = insecure.filter((name) => !name.includes("/"));
  return {
    InsecureRegistryCIDRs: ["::1/128", "127.0.0.0/8", ...insecure.filter((range) => range.includes("/"))],
    IndexConfigs: Object.fromEntries([
      ["docker.io", index("docker.io", true)],
      ...names.map((name): [string, JsonObject] => [name, index(name, false)]),
    ]),
    Mirrors: [],
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
      return await clients.inspectRaft();
    } catch {
      return undefined; // it does not run now; `Swarm.Error` says why
    }
  };
  const swarmJson = async (member: RaftInspection | undefined): Promise<JsonObject> => {
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
        { leaderWaitMs: INFO_LEADER_WAIT_MS },
      );
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
        const { facts, containers, images } = backend;
        const list = containers.list();
        const running = list.filter((container) => container.state === "running").length;
        const member = await ownMember();
        const warnings = member === undefined ? [] : managerWarnings(member);
        return {
          status: 200,
          json: {
            ID: facts.engineId,
            Containers: list.length,
            ContainersRunning: running,
            ContainersPaused: 0,
            ContainersStopped: list.length - running,
            Images: images.list().length,
            Driver: "overlay2",
            DriverStatus: [["Backing Filesystem", "overlayfs"]],
            Plugins: {
              Volume: ["local"],
              Network: ["host", "null", "overlay"],
              Authorization: null,
              Log: ["fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"],
            },
            MemoryLimit: true,
            SwapLimit: true,
            CpuCfsPeriod: true,
            CpuCfsQuota: true,
            PidsLimit: true,
            IPv4Forwarding: true,
            OomKillDisable: false,
            Debug: false,
            SystemTime: new Date(backend.clock.nowMs()).toISOString(),
            LoggingDriver: "local",
            CgroupDriver: "cgroupfs",
            CgroupVersion: facts.cgroupVersion,
            KernelVersion: facts.kernelVersion,
            OperatingSystem: facts.operatingSystem,
            OSVersion: "",
            OSType: "linux",
            Architecture: machineName(facts.architecture),
            IndexServerAddress: "https://index.docker.io/v1/",
            RegistryConfig: registryConfig(facts.insecureRegistries),
            NCPU: facts.cpus,
            MemTotal: facts.memoryBytes,
            GenericResources: null,
            DockerRootDir: facts.dataDir,
            HttpProxy: "",
            HttpsProxy: "",
            NoProxy: "",
            Name: facts.hostname,
            Labels: facts.labels,
            ExperimentalBuild: false,
            ServerVersion: facts.version,
            Runtimes: { [facts.runtime]: { path: facts.runtime } },
            DefaultRuntime: facts.runtime,
            Swarm: await swarmJson(member),
            LiveRestoreEnabled: true,
            Isolation: "",
            InitBinary: "",
            SecurityOptions: ["name=seccomp,profile=builtin"],
            Warnings: warnings.length === 0 ? null : warnings.map((warning) => `WARNING: ${warning}`),
          },
        };
      },
    },
  ];
}
