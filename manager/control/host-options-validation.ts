/**
 * Rules for what a task asks of its node beyond Docker's services: shapes, ranges, contradictions. What no
 * node here can do is refused by name, before anything is changed.
 * Pure. Source: Docker Engine API 1.51, HostConfig; Compose Specification (pull_policy, lifecycle hooks).
 */
import { InvalidArgumentError, NotImplementedError } from "../../base/errors/errors.js";
import { isNodeNetwork } from "../../proto/engine/node-networks.js";
import { parsePullPolicy } from "../../proto/engine/pull-policy.js";
import { RUNTIME_NAMES } from "../../proto/engine/runtimes.js";
import { parseSecurityOptions } from "../../proto/engine/security-options.js";
import { tmpfsOptionWords, tmpfsParts, wrongTmpfsOption } from "../../proto/engine/tmpfs-options.js";
import type {
  BlkioOptions,
  DeviceMapping,
  DeviceRequest,
  HostOptions,
  LifecycleHook,
} from "../../proto/gen/skein/v1/host_options.js";
import type { ContainerSpec, TaskSpec } from "../../proto/gen/skein/v1/types.js";

/** Of each list: devices, rules, hooks and so on. They stand in every task. */
export const HOST_LIST_MAX = 256;
/** The kernel's, for both names of a machine. */
const DOMAINNAME_LENGTH_MAX = 64;
const CPU_PERIOD_US = { min: 1_000, max: 1_000_000 };
const BLKIO_WEIGHT = { min: 10, max: 1_000 };
const API_SOCKET_TARGET = "/run/skein";

const MODES: Readonly<Record<string, readonly string[]>> = {
  CgroupnsMode: ["host", "private"],
  IpcMode: ["none", "private", "shareable", "host"],
  PidMode: ["host"],
  UTSMode: ["host"],
  UsernsMode: ["host"],
};

function refuse(field: string, rule: string): never {
  throw new InvalidArgumentError(`ContainerSpec: HostConfig.${field} ${rule}`);
}

const quoted = (text: string): string => JSON.stringify(text);

/** @throws {InvalidArgumentError} {NotImplementedError} naming the field and the rule. */
export function checkHostOptions(task: TaskSpec, container: ContainerSpec): void {
  const { host } = container;
  if (host === undefined) return;
  checkLengths(host);
  checkModes(host, container);
  host.devices.forEach(checkDevice);
  for (const rule of host.deviceCgroupRules)
    if (!/^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$/.test(rule))
      refuse("DeviceCgroupRules", `must hold rules such as "c 1:3 rwm", got ${quoted(rule)}`);
  host.deviceRequests.forEach(checkDeviceRequest);
  checkCpu(host, task);
  checkBlkio(host.blkio);
  checkSecurity(host, container);
  checkNames(host);
  const shared = task.networks.find(({ target }) => isNodeNetwork(target));
  if (host.macAddress !== "" && shared !== undefined)
    refuse("MacAddress", `needs a network of the task's own, not ${shared.target}`);
  checkTmpfs(host, container);
  for (const [at, hook] of host.postStart.entries()) checkHook(hook, `PostStart[${at}]`);
  for (const [at, hook] of host.preStop.entries()) checkHook(hook, `PreStop[${at}]`);
}

function checkLengths(host: HostOptions): void {
  const sizes: Record<string, number> = {
    Devices: host.devices.length,
    DeviceCgroupRules: host.deviceCgroupRules.length,
    DeviceRequests: host.deviceRequests.length,
    SecurityOpt: host.securityOpts.length,
    Annotations: Object.keys(host.annotations).length,
    PostStart: host.postStart.length,
    PreStop: host.preStop.length,
    Tmpfs: host.tmpfs.length,
  };
  for (const [at, { deviceIds, capabilities }] of host.deviceRequests.entries()) {
    sizes[`DeviceRequests[${at}].DeviceIDs`] = deviceIds.length;
    sizes[`DeviceRequests[${at}].Capabilities`] = capabilities.length;
  }
  for (const field of ["postStart", "preStop"] as const)
    for (const [at, { command, env }] of host[field].entries()) {
      const hook = `${field === "postStart" ? "PostStart" : "PreStop"}[${at}]`;
      sizes[`${hook}.Command`] = command.length;
      sizes[`${hook}.Env`] = env.length;
    }
  for (const [field, size] of Object.entries(sizes))
    if (size > HOST_LIST_MAX) refuse(field, `may have at most ${HOST_LIST_MAX} entries, got ${size}`);
}

function checkModes(host: HostOptions, { hostname }: ContainerSpec): void {
  const asked = {
    CgroupnsMode: host.cgroupnsMode,
    IpcMode: host.ipcMode,
    PidMode: host.pidMode,
    UTSMode: host.utsMode,
    UsernsMode: host.usernsMode,
  };
  for (const [field, mode] of Object.entries(asked)) {
    if (mode === "" || MODES[field]?.includes(mode)) continue;
    const [kind] = mode.split(":", 1);
    if (kind === "container" || kind === "service")
      throw new NotImplementedError(
        `ContainerSpec: HostConfig.${field} ${quoted(mode)} is for plain containers: ` +
          "what a service's tasks would share a namespace with may run on another node",
      );
    refuse(field, `must be ${MODES[field]?.join(", ")}, got ${quoted(mode)}`);
  }
  if (host.utsMode !== "host") return;
  if (hostname !== "") refuse("UTSMode", "host contradicts a hostname: the task would have the node's");
  if (host.domainname !== "")
    refuse("UTSMode", "host contradicts Domainname: the task would have the node's");
}

function checkDevice(device: DeviceMapping): void {
  const { pathOnHost, pathInContainer, cgroupPermissions } = device;
  if (!pathOnHost.startsWith("/"))
    refuse("Devices", `PathOnHost must be an absolute path, got ${quoted(pathOnHost)}`);
  if (pathInContainer !== "" && !pathInContainer.startsWith("/"))
    refuse("Devices", `PathInContainer must be an absolute path, got ${quoted(pathInContainer)}`);
  if (!/^(?!.*(.).*\1)[rwm]{0,3}$/.test(cgroupPermissions))
    refuse("Devices", `CgroupPermissions must be some of r, w and m, got ${quoted(cgroupPermissions)}`);
}

function checkDeviceRequest({ driver, count, deviceIds, options }: DeviceRequest): void {
  if (count < -1) refuse("DeviceRequests", `Count must be at least -1, which is all, got ${count}`);
  if (count !== 0 && deviceIds.length > 0)
    refuse("DeviceRequests", "cannot set both Count and DeviceIDs on device request");
  if (driver === "cdi" && count !== 0)
    refuse("DeviceRequests", "cannot count devices of driver cdi: name them in DeviceIDs");
  if (Object.keys(options).length > 0)
    throw new NotImplementedError(
      "ContainerSpec: HostConfig.DeviceRequests Options are not supported: no driver here has any",
    );
}

function checkCpu(host: HostOptions, { resources }: TaskSpec): void {
  const { cpuPeriodUs: period, cpuQuotaUs: quota } = host;
  const { cpuRealtimePeriodUs: realtimePeriod, cpuRealtimeRuntimeUs: realtimeRuntime } = host;
  const { min, max } = CPU_PERIOD_US;
  if (period !== 0 && !(period >= min && period <= max))
    refuse("CpuPeriod", `must be from ${min} to ${max} microseconds, got ${period}`);
  if (quota !== 0 && quota !== -1 && !(quota >= min))
    refuse("CpuQuota", `must be at least ${min} microseconds, or -1 for no bound, got ${quota}`);
  if ((resources?.limits?.nanoCpus ?? 0) > 0 && (period !== 0 || quota !== 0))
    refuse(period !== 0 ? "CpuPeriod" : "CpuQuota", "contradicts the CPU limit of the task's resources");
  if (realtimePeriod < 0) refuse("CpuRealtimePeriod", `must not be negative, got ${realtimePeriod}`);
  if (realtimeRuntime < 0) refuse("CpuRealtimeRuntime", `must not be negative, got ${realtimeRuntime}`);
  if (realtimePeriod !== 0 && realtimeRuntime > realtimePeriod)
    refuse("CpuRealtimeRuntime", "must not be above CpuRealtimePeriod");
  for (const [field, text] of [
    ["CpusetCpus", host.cpusetCpus],
    ["CpusetMems", host.cpusetMems],
  ] as const)
    if (!isIdSet(text)) refuse(field, `must be numbers and ranges such as "0-2,4", got ${quoted(text)}`);
}

function isIdSet(text: string): boolean {
  if (text === "") return true;
  return text.split(",").every((part) => {
    const match = /^(\d{1,7})(?:-(\d{1,7}))?$/.exec(part);
    return match !== null && Number(match[2] ?? match[1]) >= Number(match[1]);
  });
}

function checkBlkio(blkio: BlkioOptions | undefined): void {
  if (blkio === undefined) return;
  const { min, max } = BLKIO_WEIGHT;
  const isWrong = (weight: number): boolean => weight < min || weight > max;
  if (blkio.weight !== 0 && isWrong(blkio.weight))
    refuse("BlkioWeight", `must be from ${min} to ${max}, got ${blkio.weight}`);
  const lists = {
    BlkioWeightDevice: blkio.weightDevice,
    BlkioDeviceReadBps: blkio.deviceReadBps,
    BlkioDeviceWriteBps: blkio.deviceWriteBps,
    BlkioDeviceReadIOps: blkio.deviceReadIops,
    BlkioDeviceWriteIOps: blkio.deviceWriteIops,
  };
  for (const [field, values] of Object.entries(lists)) {
    if (values.length > HOST_LIST_MAX)
      refuse(field, `may have at most ${HOST_LIST_MAX} entries, got ${values.length}`);
    for (const { path, value } of values) {
      if (!path.startsWith("/"))
        refuse(field, `needs the absolute path of a block device, got ${quoted(path)}`);
      if (field === "BlkioWeightDevice" && isWrong(value))
        refuse(field, `of ${path} must be from ${min} to ${max}, got ${value}`);
    }
  }
}

function checkSecurity({ securityOpts, storageOpts, runtime }: HostOptions, container: ContainerSpec): void {
  const read = parseSecurityOptions(securityOpts);
  if ("refusal" in read) {
    if (read.foreign) throw new NotImplementedError(`ContainerSpec: ${read.refusal}`);
    throw new InvalidArgumentError(`ContainerSpec: HostConfig.SecurityOpt: ${read.refusal}`);
  }
  const label = read.selinuxLabels.find((each) => each !== "disable");
  if (label !== undefined)
    throw new NotImplementedError(
      `ContainerSpec: HostConfig.SecurityOpt label ${quoted(label)} is not supported: of SELinux only disable`,
    );
  const privileges = container.privileges;
  if (read.seccomp !== undefined && (privileges?.seccompMode ?? "") !== "")
    refuse("SecurityOpt", "seccomp contradicts Privileges.Seccomp: give one of them");
  if (read.apparmorProfile !== "" && (privileges?.apparmorMode ?? "") !== "")
    refuse("SecurityOpt", "apparmor contradicts Privileges.AppArmor: give one of them");
  if (read.noNewPrivileges === false && privileges?.noNewPrivileges === true)
    refuse("SecurityOpt", "no-new-privileges=false contradicts Privileges.NoNewPrivileges");
  const [option] = Object.keys(storageOpts);
  if (option !== undefined)
    throw new NotImplementedError(
      `ContainerSpec: HostConfig.StorageOpt ${option} is not supported: ` +
        "containers' file systems have no quotas of their own here",
    );
  if (runtime !== "" && !RUNTIME_NAMES.some((name) => name === runtime))
    refuse("Runtime", `must be one of ${RUNTIME_NAMES.join(", ")}, got ${quoted(runtime)}`);
}

function checkNames({ domainname, macAddress, cgroupParent, annotations, pullPolicy }: HostOptions): void {
  if (domainname.length > DOMAINNAME_LENGTH_MAX || !/^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?$/.test(domainname))
    refuse(
      "Domainname",
      `must be a domain of at most ${DOMAINNAME_LENGTH_MAX} bytes, got ${quoted(domainname)}`,
    );
  if (macAddress !== "") checkMac(macAddress);
  if (cgroupParent.split("/").includes(".."))
    refuse("CgroupParent", `must not lead upwards, got ${quoted(cgroupParent)}`);
  if ("" in annotations) refuse("Annotations", "must not have an empty key");
  if (parsePullPolicy(pullPolicy) === undefined)
    refuse(
      "PullPolicy",
      'must be always, missing, never, daily, weekly or every_ with a duration ("every_12h"), ' +
        `got ${quoted(pullPolicy)}`,
    );
}

function checkMac(text: string): void {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    refuse("MacAddress", `must be six pairs of hex digits with colons, got ${quoted(text)}`);
  if ((Number.parseInt(text.slice(0, 2), 16) & 1) === 1)
    refuse("MacAddress", `must be that of one station, got the group address ${text}`);
}

function checkTmpfs({ tmpfs, useApiSocket }: HostOptions, { mounts }: ContainerSpec): void {
  const place = (target: string): string => target.replace(/\/+$/, "");
  const taken = new Set(mounts.map(({ target }) => place(target)));
  // Nor below it: a mount point there would be made in the node's own folder.
  const inTheWay = (at: string): boolean =>
    at === API_SOCKET_TARGET || at.startsWith(`${API_SOCKET_TARGET}/`);
  const wanted = [...taken, ...tmpfs.map((text) => place(tmpfsParts(text).target))];
  if (useApiSocket && wanted.some(inTheWay))
    refuse("UseApiSocket", `needs ${API_SOCKET_TARGET}, where something else is mounted`);
  for (const text of tmpfs) {
    const { target, options } = tmpfsParts(text);
    if (!target.startsWith("/") || place(target) === "")
      refuse("Tmpfs", `needs absolute paths below /, got ${quoted(target)}`);
    const wrong = wrongTmpfsOption(tmpfsOptionWords(options));
    if (wrong !== undefined)
      refuse("Tmpfs", `of ${target} has ${quoted(wrong)}, which is no option of a tmpfs`);
    if (taken.has(place(target)))
      throw new InvalidArgumentError(`ContainerSpec: duplicate mount point: ${target}`);
    taken.add(place(target));
  }
}

function checkHook({ command, workingDir, env }: LifecycleHook, field: string): void {
  if ((command[0] ?? "") === "") refuse(field, "needs a command");
  if (workingDir !== "" && !workingDir.startsWith("/"))
    refuse(field, `WorkingDir must be an absolute path, got ${quoted(workingDir)}`);
  const wrong = env.find((entry) => entry === "" || entry.startsWith("="));
  if (wrong !== undefined) refuse(field, `Env must hold NAME=VALUE, got ${quoted(wrong)}`);
}
