/**
 * Containers as Docker's JSON: a row of the list, and the details of one.
 * Pure over what the node knows of them.
 */
import type {
  ContainerBackend,
  EngineContainer,
  EngineContainerNetwork,
  EngineMount,
  ImageBackend,
} from "../engine-ports.js";
import { familiarName } from "../routes/image-routes.js";
import { type JsonObject, timeText, ZERO_TIME } from "./shape.js";

export const TASK_LABEL = "com.docker.swarm.task.id";

function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const steps: readonly [number, string][] = [
    [60, "second"],
    [60, "minute"],
    [24, "hour"],
    [7, "day"],
    [Number.POSITIVE_INFINITY, "week"],
  ];
  let value = seconds;
  for (const [size, unit] of steps) {
    if (value < size) return `${value} ${unit}${value === 1 ? "" : "s"}`;
    value = Math.floor(value / size);
  }
  return `${value} weeks`;
}

function statusText(container: EngineContainer, nowMs: number): string {
  const health =
    container.health === ""
      ? ""
      : ` (${container.health === "starting" ? "health: starting" : container.health})`;
  switch (container.state) {
    case "running":
      return `Up ${age(nowMs - container.startedMs)}${health}`;
    case "exited":
      return `Exited (${container.exitCode}) ${age(nowMs - container.finishedMs)} ago`;
    case "created":
      return "Created";
    case "paused":
      return `Up ${age(nowMs - container.startedMs)} (Paused)`;
    case "restarting":
      return `Restarting (${container.exitCode}) ${age(nowMs - container.finishedMs)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
  }
}

function commandOf(container: EngineContainer, images: ImageBackend): readonly string[] {
  const { specification } = container;
  const config = images.find(container.imageId)?.config;
  const entrypoint =
    specification.entrypoint.length > 0 ? specification.entrypoint : (config?.entrypoint ?? []);
  const imageArgs = specification.entrypoint.length > 0 ? [] : (config?.cmd ?? []);
  return [...entrypoint, ...(specification.args.length > 0 ? specification.args : imageArgs)];
}

/** As in the list of containers. */
export function containerSummaryOut(
  container: EngineContainer,
  images: ImageBackend,
  nowMs: number,
): JsonObject {
  return {
    Id: container.id,
    Names: [`/${container.name}`],
    Image: familiarName(container.specification.image),
    ImageID: container.imageId,
    Command: commandOf(container, images).join(" "),
    Created: Math.floor(container.createdMs / 1000),
    Ports: [],
    Labels: container.specification.labels,
    State: container.state,
    Status: statusText(container, nowMs),
    HostConfig: { NetworkMode: "default" },
    NetworkSettings: { Networks: {} },
    Mounts: [],
  };
}

export interface ContainerDetailParts {
  readonly images: ImageBackend;
  readonly containers: Pick<ContainerBackend, "volumes" | "volumesOf">;
  readonly networksOfTask: (taskId: string) => readonly EngineContainerNetwork[];
}

function mountsOut(container: EngineContainer, { containers }: ContainerDetailParts): JsonObject[] {
  const volumes = containers.volumesOf(container.id).map(({ name, target, readOnly }) => {
    const volume = containers.volumes.find(name);
    return {
      Type: "volume",
      Name: name,
      Source: volume?.mountpoint ?? "",
      Destination: target,
      Driver: volume?.driver ?? "local",
      Mode: "",
      RW: !readOnly,
      Propagation: "",
    };
  });
  return [...container.specification.mounts.flatMap(mountOut), ...volumes];
}

/** Nothing for a volume: those are told from what was made of them. */
function mountOut(mount: EngineMount): JsonObject[] {
  switch (mount.kind) {
    case "bind": {
      const { source, target, readOnly, propagation } = mount;
      const Propagation = propagation || "rprivate";
      return [{ Type: "bind", Source: source, Destination: target, Mode: "", RW: !readOnly, Propagation }];
    }
    case "tmpfs":
      return [{ Type: "tmpfs", Source: "", Destination: mount.target, Mode: "", RW: true, Propagation: "" }];
    case "image":
      return [
        {
          Type: "image",
          Source: mount.image,
          Destination: mount.target,
          Mode: "",
          RW: false,
          Propagation: "",
        },
      ];
    case "volume":
      return [];
  }
}

/** "default" is what the CLI shows for a task, whose networks stand below. */
function networkMode({ specification }: EngineContainer): string {
  const { kind } = specification.network;
  return kind === "netns" ? "default" : kind;
}

function networksOut(container: EngineContainer, parts: ContainerDetailParts): JsonObject {
  const mode = networkMode(container);
  const taskId = container.specification.labels[TASK_LABEL] ?? "";
  const known: readonly EngineContainerNetwork[] =
    mode === "default" && taskId !== "" ? parts.networksOfTask(taskId) : [];
  const entry = (network: Partial<EngineContainerNetwork>): JsonObject => ({
    IPAMConfig: network.address === undefined ? null : { IPv4Address: network.address },
    Links: null,
    Aliases: null,
    MacAddress: "",
    DriverOpts: null,
    NetworkID: network.networkId ?? "",
    EndpointID: "",
    Gateway: "",
    IPAddress: network.address ?? "",
    IPPrefixLen: network.prefixLength ?? 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  });
  if (mode !== "default") return { [mode]: entry({}) };
  return Object.fromEntries(known.map((network) => [network.name || network.networkId, entry(network)]));
}

function hostConfigOut(container: EngineContainer): JsonObject {
  const { resources, ulimits, mounts, ...specification } = container.specification;
  const tmpfs = mounts.filter((mount) => mount.kind === "tmpfs");
  return {
    NetworkMode: networkMode(container),
    LogConfig: { Type: "local", Config: {} },
    Memory: resources.memoryBytes,
    MemorySwap: resources.swapBytes ?? 0,
    NanoCpus: resources.nanoCpus,
    PidsLimit: resources.pidsLimit === 0 ? null : resources.pidsLimit,
    ReadonlyRootfs: specification.readOnly,
    Init: specification.init,
    CapAdd: specification.capAdd.length === 0 ? null : specification.capAdd,
    CapDrop: specification.capDrop.length === 0 ? null : specification.capDrop,
    Sysctls: specification.sysctls,
    Ulimits: ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    OomScoreAdj: specification.oomScoreAdj,
    RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    Tmpfs: Object.fromEntries(tmpfs.map(({ target, options }) => [target, options.join()])),
  };
}

/** As `docker inspect` shows it. */
export function containerOut(container: EngineContainer, parts: ContainerDetailParts): JsonObject {
  const { specification } = container;
  const [path = "", ...args] = commandOf(container, parts.images);
  return {
    Id: container.id,
    Created: timeText(container.createdMs),
    Path: path,
    Args: args,
    State: {
      Status: container.state,
      Running: container.state === "running",
      Paused: false,
      Restarting: false,
      OOMKilled: container.oomKilled,
      Dead: container.state === "dead",
      Pid: container.pid,
      ExitCode: container.state === "exited" ? container.exitCode : 0,
      Error: container.error,
      StartedAt: container.startedMs === 0 ? ZERO_TIME : timeText(container.startedMs),
      FinishedAt: container.finishedMs === 0 ? ZERO_TIME : timeText(container.finishedMs),
      ...(container.health === "" ? {} : { Health: { Status: container.health, FailingStreak: 0, Log: [] } }),
    },
    Image: container.imageId,
    Name: `/${container.name}`,
    RestartCount: 0,
    Driver: "overlay2",
    Platform: "linux",
    Mounts: mountsOut(container, parts),
    Config: {
      Hostname: specification.hostname,
      User: specification.user,
      Tty: specification.tty,
      OpenStdin: specification.openStdin,
      Env: specification.env,
      Cmd: specification.args,
      Entrypoint: specification.entrypoint.length > 0 ? specification.entrypoint : null,
      Image: familiarName(specification.image),
      WorkingDir: specification.workingDir,
      Labels: specification.labels,
    },
    HostConfig: hostConfigOut(container),
    NetworkSettings: { Networks: networksOut(container, parts) },
  };
}
