/**
 * From a task to the container that runs it.
 * Pure. Invariant: every field of the specification is honoured or refused by name;
 * none is dropped in silence.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import type { TaskSandbox } from "../../net-overlay/network-plane.js";
import type { NodeFacts } from "../../proto/dispatch/task-placeholders.js";
import type { Task } from "../../proto/gen/skein/v1/objects.js";
import type {
  ContainerSpec,
  HealthConfig,
  LogDriver,
  Mount,
  Privileges,
} from "../../proto/gen/skein/v1/types.js";
import type {
  ContainerMount,
  ContainerSpecification,
  FileToPlace,
  HealthCheck,
} from "../containers/container-manager.js";
import type { TaskDependencies } from "./controller.js";
import { hostWishes } from "./host-wishes.js";
import { filesOfTask } from "./task-files.js";
import { taskLabels, taskName } from "./task-names.js";
import { expandTemplate } from "./task-template.js";

/** Docker's own default. */
export const STOP_GRACE_PERIOD_MS = 10_000;
/** Log rotation when the service names none: bounded, so that no task can fill the disk. */
export const LOG_SIZE_BYTES_MAX = 20 * 1024 * 1024;
export const LOG_FILES_MAX = 3;
const LOG_DRIVERS = new Set(["", "json-file", "local", "k8s-file", "none"]);

/** How the container is connected: its own sandbox, the host's, or nothing. */
export type TaskNetwork =
  | { readonly kind: "sandbox"; readonly sandbox: TaskSandbox }
  | { readonly kind: "host" }
  | { readonly kind: "none" };

/** The predefined networks that need no sandbox, by the id or name they are attached under. */
export function predefinedNetwork(task: Task): "host" | "none" | undefined {
  for (const { target } of task.spec?.networks ?? [])
    if (target === "host" || target === "none") return target;
  return undefined;
}

/** @throws {InvalidArgumentError} no container in the specification, or an unknown placeholder. */
export function taskHostname(task: Task, node: NodeFacts): string {
  return expandTemplate(task.spec?.container?.hostname ?? "", task, node) || task.id.slice(0, 12);
}

function parseSize(text: string): number {
  const match = /^(\d+)([kmg]?)b?$/i.exec(text.trim());
  if (match === null) throw new InvalidArgumentError(`log option max-size: not a size: ${text}`);
  const factor = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[match[2]?.toLowerCase() ?? ""] ?? 1;
  return Number(match[1]) * factor;
}

function logOf(driver: LogDriver | undefined): ContainerSpecification["log"] {
  const name = driver?.name ?? "";
  if (!LOG_DRIVERS.has(name))
    throw new InvalidArgumentError(`log driver ${name} is not supported on this node`);
  const options = driver?.options ?? {};
  const size = options["max-size"];
  return {
    driver: name === "none" ? "none" : "",
    maxSizeBytes: size === undefined ? LOG_SIZE_BYTES_MAX : parseSize(size),
    maxFiles: Number(options["max-file"] ?? LOG_FILES_MAX) || LOG_FILES_MAX,
    ...(Object.keys(options).length === 0 ? {} : { options }),
  };
}

function mountOf(mount: Mount, expand: (text: string) => string): ContainerMount {
  const source = expand(mount.source);
  const target = expand(mount.target);
  const { readOnly } = mount;
  switch (mount.type) {
    case "bind":
      return {
        kind: "bind",
        source,
        target,
        readOnly,
        propagation: mount.bindOptions?.propagation ?? "",
        recursive: !(mount.bindOptions?.nonRecursive ?? false),
        createSource: mount.bindOptions?.createMountpoint ?? false,
        ...readOnlyBelow(mount),
      };
    case "volume":
    case "":
      return {
        kind: "volume",
        name: source,
        target,
        readOnly,
        noCopy: mount.volumeOptions?.noCopy ?? false,
        subpath: mount.volumeOptions?.subpath ?? "",
        driver: mount.volumeOptions?.driverName || "local",
        driverOptions: mount.volumeOptions?.driverOptions ?? {},
        labels: mount.volumeOptions?.labels ?? {},
      };
    case "tmpfs":
      return {
        kind: "tmpfs",
        target,
        sizeBytes: mount.tmpfsOptions?.sizeBytes ?? 0,
        mode: mount.tmpfsOptions?.mode || 0o1777,
        options: mount.tmpfsOptions?.options ?? [],
      };
    case "image":
      return { kind: "image", image: source, target, subpath: mount.imageSubpath };
    default:
      throw new InvalidArgumentError(`mount ${target}: type ${mount.type} is not supported on this node`);
  }
}

function readOnlyBelow({ bindOptions }: Mount): { readonly readOnlyRecursive?: "disabled" | "forced" } {
  if (bindOptions?.readOnlyForceRecursive === true) return { readOnlyRecursive: "forced" };
  return bindOptions?.readOnlyNonRecursive === true ? { readOnlyRecursive: "disabled" } : {};
}

function nameOf(entry: string): string {
  return entry.split("=", 1)[0] ?? "";
}

function healthOf(health: HealthConfig | undefined): HealthCheck | undefined {
  if (health === undefined) return undefined;
  const { test, intervalMs, timeoutMs, startPeriodMs, startIntervalMs, retries } = health;
  if (test.length + intervalMs + timeoutMs + startPeriodMs + startIntervalMs + retries === 0)
    return undefined;
  return { test, intervalMs, timeoutMs, startPeriodMs, startIntervalMs, retries };
}

function seccompOf(privileges: Privileges | undefined): ContainerSpecification["seccomp"] {
  const mode = privileges?.seccompMode ?? "";
  switch (mode) {
    case "":
    case "default":
      return { kind: "default" };
    case "unconfined":
      return { kind: "unconfined" };
    case "custom":
      return { kind: "custom", profile: privileges?.seccompProfile ?? new Uint8Array() };
    default:
      throw new InvalidArgumentError(`seccomp mode must be default, unconfined or custom, got ${mode}`);
  }
}

/** "DOCKER_RESOURCE_GPU=a,b" of named units, "DOCKER_RESOURCE_SSD=2" of a count: what the task was given. */
function resourceVariables(assigned: Task["assignedGenericResources"]): readonly string[] {
  const byKind = new Map<string, string[]>();
  for (const { kind, value } of assigned) {
    if (value !== undefined) byKind.set(kind, [...(byKind.get(kind) ?? []), String(value.value)]);
  }
  return [...byKind].map(([kind, values]) => `DOCKER_RESOURCE_${kind.toUpperCase()}=${values.join(",")}`);
}

function containerOf(task: Task): ContainerSpec {
  const container = task.spec?.container;
  if (container === undefined)
    throw new InvalidArgumentError(`task ${task.id} has no container specification`);
  return container;
}

/** Names of the service's own where no sandbox writes them: lines of hosts, and other resolvers. */
function networkingOutside(
  { hosts, dnsConfig }: ContainerSpec,
  mode: "host" | "none",
): NonNullable<ContainerSpecification["networking"]> {
  return {
    mode,
    endpoints: {},
    exposedPorts: [],
    portBindings: [],
    publishAllPorts: false,
    links: [],
    dns: dnsConfig?.nameservers ?? [],
    dnsSearch: dnsConfig?.search ?? [],
    dnsOptions: dnsConfig?.options ?? [],
    // lines as in the file: an address, and its names
    extraHosts: hosts.flatMap((line) => {
      const [address = "", ...names] = line.trim().split(/\s+/);
      return names.map((name) => `${name}:${address}`);
    }),
    macAddress: "",
  };
}

export interface SpecificationInput {
  readonly task: Task;
  readonly node: NodeFacts;
  readonly network: TaskNetwork;
  readonly dependencies: TaskDependencies;
  /** Folder on the node that holds the API's socket; absent: there is none to give. */
  readonly apiSocketDir?: string | undefined;
  /** Of an earlier look at the same task; absent: they are made of the dependencies. */
  readonly files?: readonly FileToPlace[] | undefined;
}

/**
 * @throws {InvalidArgumentError} what cannot be honoured;
 * {TaskFailureError} a secret or config that is missing.
 */
export function containerSpecification(input: SpecificationInput): ContainerSpecification {
  const { task, node, network, dependencies } = input;
  const spec = containerOf(task);
  const expand = (text: string): string => expandTemplate(text, task, node);
  const { limits, limitPids = 0, swapBytes, memorySwappiness } = task.spec?.resources ?? {};
  const memoryBytes = limits?.memoryBytes ?? 0;
  const shared = predefinedNetwork(task);
  const chosenName = shared === "host" && spec.hostname === "" ? node.hostname : taskHostname(task, node);
  const hostname = spec.host?.utsMode === "host" ? "" : chosenName;
  const wishes = hostWishes({ container: spec, apiSocketDir: input.apiSocketDir });
  const own = spec.env.map(expand);
  const given = wishes.env.filter((entry) => !own.some((other) => nameOf(other) === nameOf(entry)));
  const env = [...given, ...own, ...resourceVariables(task.assignedGenericResources)];
  if (shared !== undefined && (spec.host?.macAddress ?? "") !== "")
    throw new InvalidArgumentError(`a MAC address needs a network of the task's own, not ${shared}`);
  return {
    name: taskName(task),
    image: spec.image,
    entrypoint: spec.command,
    args: spec.args,
    env,
    workingDir: spec.dir,
    user: spec.user,
    groups: spec.groups,
    hostname,
    ...(wishes.domainname === "" ? {} : { domainname: wishes.domainname }),
    labels: taskLabels(task),
    tty: spec.tty,
    openStdin: spec.openStdin,
    readOnly: spec.readOnly,
    init: spec.init ?? false,
    mounts: [...spec.mounts.map((mount) => mountOf(mount, expand)), ...wishes.mounts],
    files: input.files ?? filesOfTask({ task, node, env, dependencies }),
    stopSignal: spec.stopSignal,
    stopGracePeriodMs: spec.stopGracePeriodMs ?? STOP_GRACE_PERIOD_MS,
    healthcheck: healthOf(spec.healthcheck),
    resources: {
      memoryBytes,
      // a service names the swap alone, a container what memory and swap are together
      swapBytes: swapBytes !== undefined && swapBytes > 0 ? memoryBytes + swapBytes : swapBytes,
      ...(memorySwappiness === undefined ? {} : { memorySwappiness }),
      nanoCpus: limits?.nanoCpus ?? 0,
      pidsLimit: limitPids,
      ...wishes.resources,
    },
    ...(wishes.isolation === undefined ? {} : { isolation: wishes.isolation }),
    capAdd: spec.capabilityAdd,
    capDrop: spec.capabilityDrop,
    sysctls: spec.sysctls,
    ulimits: spec.ulimits,
    oomScoreAdj: spec.oomScoreAdj,
    noNewPrivileges: wishes.noNewPrivileges ?? spec.privileges?.noNewPrivileges ?? false,
    seccomp: wishes.seccomp ?? seccompOf(spec.privileges),
    network: network.kind === "sandbox" ? { kind: "netns", path: network.sandbox.netnsPath } : network,
    ...(network.kind === "sandbox" ? {} : { networking: networkingOutside(spec, network.kind) }),
    etcHosts: network.kind === "sandbox" ? network.sandbox.etcHosts : undefined,
    resolvConf: network.kind === "sandbox" ? network.sandbox.resolvConf : undefined,
    log: logOf(task.spec?.logDriver),
  };
}
