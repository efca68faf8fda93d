/**
 * Containers as Docker's JSON: a row of the list, and the details of one, by API version.
 * Pure over what the node knows of them. Source: Docker Engine API 1.24 to 1.51.
 */
import type { ContainerRecord, HealthCheck } from "../../proto/engine/containers.js";
import { hostConfigOut } from "./container-host-config-out.js";
import { type MountsOutParts, mountsOut } from "./container-mounts-out.js";
import {
  type NetworksOutParts,
  networkModeOut,
  networkSettingsOut,
  networksOut,
  portRowsOut,
} from "./container-network-out.js";
import { durationText } from "./duration-text.js";
import { familiarName } from "./image-names.js";
import { type JsonObject, type JsonValue, nanoseconds, omitEmpty, timeText, ZERO_TIME } from "./shape.js";

/** What of an image matters to its containers. */
export interface ImageOfContainer {
  readonly id: string;
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly config: { readonly volumes: readonly string[] };
}

/** Files of a container on the host; absent: there is none. */
export interface HostPaths {
  readonly resolvConf?: string;
  readonly hostname?: string;
  readonly hosts?: string;
  readonly log?: string;
}

/** Folders of its root, the layers topmost first. */
interface RootFolders {
  readonly upper: string;
  readonly lowers: readonly string[];
}

export interface ContainerOutParts extends MountsOutParts, NetworksOutParts {
  readonly findImage: (reference: string) => ImageOfContainer | undefined;
  /** Running execs of a container. */
  readonly execIds: (containerId: string) => readonly string[];
  readonly hostPaths?: (
    container: ContainerRecord,
  ) => HostPaths & { readonly layers?: RootFolders | undefined };
}

export interface ContainerSize {
  readonly writableBytes: number;
  readonly rootfsBytes: number;
}

export interface Shown {
  /** Minor number of the API version asked for. */
  readonly apiMinor: number;
  readonly nowMs: number;
  readonly size?: ContainerSize | undefined;
  /** Names other containers gave it by their links: "/other/alias". */
  readonly linkNames?: readonly string[];
}

/** Docker counts one that is paused, or waits for its restart, as running. */
export function countsAsRunning({ state }: ContainerRecord): boolean {
  return state === "running" || state === "paused" || state === "restarting";
}

export function statusText(container: ContainerRecord, nowMs: number): string {
  const since = (ms: number): string => durationText(nowMs - ms);
  switch (container.state) {
    case "running":
      return `Up ${since(container.startedMs)}${healthText(container)}`;
    case "paused":
      return `Up ${since(container.startedMs)} (Paused)`;
    case "restarting":
      return `Restarting (${container.exitCode}) ${since(container.finishedMs)} ago`;
    case "created":
      return "Created";
    case "exited":
      return `Exited (${container.exitCode}) ${since(container.finishedMs)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
  }
}

function healthText({ health }: ContainerRecord): string {
  if (health === "") return "";
  return health === "starting" ? " (health: starting)" : ` (${health})`;
}

function commandOf({ specification }: ContainerRecord): readonly string[] {
  return [...specification.entrypoint, ...specification.args];
}

/** Its name as it was asked for while that still means the same image, else the image's id. */
function imageNameOut(container: ContainerRecord, parts: Pick<ContainerOutParts, "findImage">): string {
  const { image } = container.specification;
  return parts.findImage(image)?.id === container.imageId ? familiarName(image) : container.imageId;
}

function sizeOut({ size }: Shown): JsonObject {
  return size === undefined ? {} : { SizeRw: size.writableBytes, SizeRootFs: size.rootfsBytes };
}

/** As in the list of containers. */
export function containerRowOut(
  container: ContainerRecord,
  parts: ContainerOutParts,
  shown: Shown,
): JsonObject {
  const [path = "", ...args] = commandOf(container);
  const words = args.map((arg) => (arg.includes(" ") ? `'${arg}'` : arg));
  const annotations = container.specification.isolation?.annotations;
  const sizes = shown.size;
  return {
    Id: container.id,
    Names: [`/${container.name}`, ...(shown.linkNames ?? [])],
    Image: imageNameOut(container, parts),
    ImageID: container.imageId,
    Command: [path, ...words].join(" "),
    Created: Math.floor(container.createdMs / 1000),
    Ports: portRowsOut(container, parts),
    ...(sizes === undefined ? {} : omitEmpty(sizeOut(shown))),
    Labels: container.specification.labels,
    State: container.state,
    Status: statusText(container, shown.nowMs),
    HostConfig: {
      NetworkMode: networkModeOut(container),
      ...(annotations === undefined || shown.apiMinor < 46 ? {} : { Annotations: annotations }),
    },
    NetworkSettings: { Networks: networksOut(container, parts, shown.apiMinor) },
    Mounts: mountsOut(container, parts),
  };
}

/** One that has ended counts as unhealthy, as in Docker. */
export function healthOf({ health, state }: ContainerRecord): ContainerRecord["health"] {
  return health !== "" && (state === "exited" || state === "dead") ? "unhealthy" : health;
}

function healthOut(container: ContainerRecord): JsonObject {
  if (container.health === "") return {};
  const log = (container.healthLog ?? []).map(({ startMs, endMs, exitCode, output }) => ({
    Start: timeText(startMs),
    End: timeText(endMs),
    ExitCode: exitCode,
    Output: output,
  }));
  return { Health: { Status: healthOf(container), FailingStreak: container.failingStreak ?? 0, Log: log } };
}

function stateOut(container: ContainerRecord): JsonObject {
  const { state } = container;
  return {
    Status: state,
    Running: countsAsRunning(container),
    Paused: state === "paused",
    Restarting: state === "restarting",
    OOMKilled: container.oomKilled,
    Dead: state === "dead",
    Pid: container.pid,
    ExitCode: container.exitCode,
    Error: container.error,
    StartedAt: container.startedMs === 0 ? ZERO_TIME : timeText(container.startedMs),
    FinishedAt: container.finishedMs === 0 ? ZERO_TIME : timeText(container.finishedMs),
    ...healthOut(container),
  };
}

function healthcheckOut(check: HealthCheck): JsonObject {
  return omitEmpty({
    Test: check.test,
    Interval: nanoseconds(check.intervalMs),
    Timeout: nanoseconds(check.timeoutMs),
    StartPeriod: nanoseconds(check.startPeriodMs),
    StartInterval: nanoseconds(check.startIntervalMs),
    Retries: check.retries,
  });
}

const some = (list: readonly string[]): JsonValue => (list.length === 0 ? null : list);

/** Config.Volumes: asked for, and the image's. */
function volumesOut(kept: JsonObject, image: ImageOfContainer | undefined): JsonValue {
  const asked = Object.keys((kept["Volumes"] as JsonObject | undefined) ?? {}); // a map: checked at create
  const all = [...asked, ...(image?.config.volumes ?? [])];
  return all.length === 0 ? null : Object.fromEntries(all.map((path) => [path, {}]));
}

function configOut(container: ContainerRecord, parts: ContainerOutParts, apiMinor: number): JsonObject {
  const { specification } = container;
  const kept = (specification.config ?? {}) as JsonObject; // laid out at create
  const attached = specification.attached ?? { stdin: false, stdout: false, stderr: false };
  const exposed = specification.networking?.exposedPorts ?? [];
  const { StopTimeout, ArgsEscaped, NetworkDisabled, MacAddress, Shell } = kept;
  const when = (key: string, value: JsonValue | undefined): JsonObject =>
    value === undefined || value === "" || value === false ? {} : { [key]: value };
  return {
    Hostname: specification.hostname,
    Domainname: specification.domainname ?? "",
    User: specification.user,
    AttachStdin: attached.stdin,
    AttachStdout: attached.stdout,
    AttachStderr: attached.stderr,
    ...(exposed.length === 0 ? {} : { ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])) }),
    Tty: specification.tty,
    OpenStdin: specification.openStdin,
    StdinOnce: specification.stdinOnce ?? false,
    Env: some(specification.env),
    Cmd: some(specification.args),
    ...(specification.healthcheck === undefined
      ? {}
      : { Healthcheck: healthcheckOut(specification.healthcheck) }),
    ...when("ArgsEscaped", ArgsEscaped),
    Image: familiarName(specification.image),
    Volumes: volumesOut(kept, parts.findImage(container.imageId)),
    WorkingDir: specification.workingDir,
    Entrypoint: some(specification.entrypoint),
    ...when("NetworkDisabled", NetworkDisabled),
    ...(apiMinor < 44 ? when("MacAddress", MacAddress) : {}),
    OnBuild: kept["OnBuild"] ?? null,
    Labels: specification.labels,
    ...when("StopSignal", specification.stopSignal),
    ...when("StopTimeout", StopTimeout),
    ...when("Shell", Shell),
  };
}

function graphDriverData(layers: RootFolders | undefined): JsonValue {
  if (layers === undefined) return null;
  const folder = layers.upper.replace(/\/[^/]*$/, "");
  return {
    LowerDir: layers.lowers.join(":"),
    MergedDir: `${folder}/merged`,
    UpperDir: layers.upper,
    WorkDir: `${folder}/work`,
  };
}

/** As `docker inspect` shows it. */
export function containerOut(container: ContainerRecord, parts: ContainerOutParts, shown: Shown): JsonObject {
  const [path = "", ...args] = commandOf(container);
  const execs = parts.execIds(container.id);
  const paths = parts.hostPaths?.(container) ?? {};
  return {
    Id: container.id,
    Created: timeText(container.createdMs),
    Path: path,
    Args: args,
    State: stateOut(container),
    Image: container.imageId,
    ResolvConfPath: paths.resolvConf ?? "",
    HostnamePath: paths.hostname ?? "",
    HostsPath: paths.hosts ?? "",
    LogPath: paths.log ?? "",
    Name: `/${container.name}`,
    RestartCount: container.restartCount ?? 0,
    Driver: "overlay2",
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: container.specification.isolation?.apparmorProfile ?? "",
    ExecIDs: some(execs),
    HostConfig: hostConfigOut(container, shown.apiMinor),
    GraphDriver: { Data: graphDriverData(paths.layers), Name: "overlay2" },
    ...sizeOut(shown),
    Mounts: mountsOut(container, parts),
    Config: configOut(container, parts, shown.apiMinor),
    NetworkSettings: networkSettingsOut(container, parts, shown.apiMinor),
  };
}
