/**
 * What a task asks of its node beyond Docker's services, in the words of the engine, which plain containers
 * are made with.
 * Pure. Invariants: a task that asks for nothing gives nothing, so that no default of the engine is another
 * for it; what cannot be honoured is refused by name.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { parseSecurityOptions, type SecurityOptions } from "../../proto/engine/security-options.js";
import { tmpfsOptionWords, tmpfsParts } from "../../proto/engine/tmpfs-options.js";
import type { BlkioDeviceValue, DeviceRequest, HostOptions } from "../../proto/gen/skein/v1/host_options.js";
import type { ContainerSpec } from "../../proto/gen/skein/v1/types.js";
import type {
  ContainerIsolation,
  ContainerMount,
  ContainerResources,
  ContainerSpecification,
} from "../containers/container-manager.js";

/** Where a task finds the node's API: `skein.sock` in there. */
export const API_SOCKET_TARGET = "/run/skein";
const DOCKER_HOST = `unix://${API_SOCKET_TARGET}/skein.sock`;

type Changed<T> = { -readonly [Key in keyof T]?: T[Key] };

export interface HostWishes {
  readonly resources: Partial<ContainerResources>;
  /** undefined: Docker's defaults in all. */
  readonly isolation: ContainerIsolation | undefined;
  readonly mounts: readonly ContainerMount[];
  /** Over what the task's own privileges say. */
  readonly noNewPrivileges: boolean | undefined;
  readonly seccomp: ContainerSpecification["seccomp"] | undefined;
  readonly domainname: string;
  /** Before the task's own, which win. */
  readonly env: readonly string[];
}

export interface WishesInput {
  readonly container: ContainerSpec;
  /** Folder on the node that holds the API's socket; undefined: there is none to give. */
  readonly apiSocketDir: string | undefined;
}

/** @throws {InvalidArgumentError} what cannot be honoured. */
export function hostWishes({ container, apiSocketDir }: WishesInput): HostWishes {
  const { host } = container;
  const security = readSecurity(host?.securityOpts ?? []);
  const isolation: Changed<ContainerIsolation> = {
    ...(host === undefined ? {} : namespacesAndDevices(host)),
    ...securityOf(security, container.privileges?.apparmorMode ?? ""),
  };
  const requests = [...(host?.deviceRequests ?? []).map(deviceRequest), ...namedDevices(container.devices)];
  if (requests.length > 0) isolation.deviceRequests = requests;
  const socket = host?.useApiSocket === true;
  return {
    resources: host === undefined ? {} : resourcesOf(host),
    isolation: Object.keys(isolation).length === 0 ? undefined : isolation,
    mounts: [...(host?.tmpfs ?? []).map(tmpfsMount), ...(socket ? [apiSocketMount(apiSocketDir)] : [])],
    noNewPrivileges: security.noNewPrivileges,
    seccomp: security.seccomp,
    domainname: host?.domainname ?? "",
    env: socket ? [`DOCKER_HOST=${DOCKER_HOST}`] : [],
  };
}

function readSecurity(options: readonly string[]): SecurityOptions {
  const read = parseSecurityOptions(options);
  if ("refusal" in read) throw new InvalidArgumentError(read.refusal);
  return read;
}

function securityOf(security: SecurityOptions, apparmorMode: string): ContainerIsolation {
  const profile = security.apparmorProfile || (apparmorMode === "disabled" ? "unconfined" : "");
  return {
    ...(profile === "" ? {} : { apparmorProfile: profile }),
    ...(security.selinuxLabels.length === 0 ? {} : { selinuxLabels: security.selinuxLabels }),
    ...(security.systemPathsUnconfined ? { systemPathsUnconfined: true } : {}),
  };
}

function namespacesAndDevices(host: HostOptions): ContainerIsolation {
  const some = <T>(list: readonly T[]): boolean => list.length > 0;
  return {
    ...(host.privileged ? { privileged: true } : {}),
    ...(some(host.devices)
      ? {
          devices: host.devices.map(({ pathOnHost, pathInContainer, cgroupPermissions }) => ({
            pathOnHost,
            pathInContainer: pathInContainer || pathOnHost,
            permissions: cgroupPermissions || "rwm",
          })),
        }
      : {}),
    ...(some(host.deviceCgroupRules) ? { deviceCgroupRules: host.deviceCgroupRules } : {}),
    ...(host.cgroupParent === "" ? {} : { cgroupParent: host.cgroupParent }),
    ...(host.cgroupnsMode === "" ? {} : { cgroupnsMode: host.cgroupnsMode }),
    ...(host.ipcMode === "" ? {} : { ipcMode: host.ipcMode }),
    ...(host.pidMode === "" ? {} : { pidMode: host.pidMode }),
    ...(host.utsMode === "" ? {} : { utsMode: host.utsMode }),
    ...(host.usernsMode === "" ? {} : { usernsMode: host.usernsMode }),
    ...(host.shmSizeBytes === 0 ? {} : { shmSizeBytes: host.shmSizeBytes }),
    ...(host.runtime === "" ? {} : { runtime: host.runtime }),
    ...(some(Object.keys(host.storageOpts)) ? { storageOptions: host.storageOpts } : {}),
    ...(some(Object.keys(host.annotations)) ? { annotations: host.annotations } : {}),
  };
}

function deviceRequest(request: DeviceRequest): NonNullable<ContainerIsolation["deviceRequests"]>[number] {
  const { driver, count, deviceIds, capabilities, options } = request;
  return { driver, count, deviceIds, capabilities: capabilities.length === 0 ? [] : [capabilities], options };
}

/** Devices that the scheduler chose the node for. */
function namedDevices(names: readonly string[]): NonNullable<ContainerIsolation["deviceRequests"]> {
  if (names.length === 0) return [];
  return [{ driver: "cdi", count: 0, deviceIds: names, capabilities: [], options: {} }];
}

function resourcesOf(host: HostOptions): Partial<ContainerResources> {
  const resources: Changed<ContainerResources> = {};
  const set = <Key extends keyof ContainerResources>(key: Key, value: ContainerResources[Key]): void => {
    if (value !== 0 && value !== "" && value !== undefined) resources[key] = value;
  };
  const rates = (values: readonly BlkioDeviceValue[] = []): ContainerResources["blkioReadBps"] =>
    values.length === 0 ? undefined : values.map(({ path, value }) => ({ path, rate: value }));
  set("cpusetCpus", host.cpusetCpus);
  set("cpusetMems", host.cpusetMems);
  set("cpuShares", host.cpuShares);
  set("cpuPeriod", host.cpuPeriodUs);
  set("cpuQuota", host.cpuQuotaUs);
  set("cpuRealtimePeriod", host.cpuRealtimePeriodUs);
  set("cpuRealtimeRuntime", host.cpuRealtimeRuntimeUs);
  set("oomKillDisable", host.oomKillDisable || undefined);
  const { blkio } = host;
  if (blkio === undefined) return resources;
  set("blkioWeight", blkio.weight);
  if (blkio.weightDevice.length > 0)
    resources.blkioWeightDevices = blkio.weightDevice.map(({ path, value }) => ({ path, weight: value }));
  set("blkioReadBps", rates(blkio.deviceReadBps));
  set("blkioWriteBps", rates(blkio.deviceWriteBps));
  set("blkioReadIops", rates(blkio.deviceReadIops));
  set("blkioWriteIops", rates(blkio.deviceWriteIops));
  return resources;
}

function tmpfsMount(text: string): ContainerMount {
  const { target, options } = tmpfsParts(text);
  return { kind: "tmpfs", target, sizeBytes: 0, mode: 0, options: tmpfsOptionWords(options) };
}

/**
 * The folder and not the socket: the daemon makes that anew when it is started again, and the task outlives
 * it. Read-only is the folder alone; a socket in it is spoken with all the same.
 */
function apiSocketMount(apiSocketDir: string | undefined): ContainerMount {
  if (apiSocketDir === undefined)
    throw new InvalidArgumentError("this node has no API socket to give to tasks");
  return {
    kind: "bind",
    source: apiSocketDir,
    target: API_SOCKET_TARGET,
    readOnly: true,
    propagation: "",
    recursive: true,
    createSource: true,
  };
}
