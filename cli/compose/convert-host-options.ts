/**
 * What a service asks of its node beyond Docker's services: `ContainerSpec.HostConfig`. Pure.
 * Names: proto/host-options-api.ts.
 */
import type { HostOptionsBody, LifecycleHookBody } from "../../proto/host-options-api.js";
import { given, type Json } from "../service/flag-values.js";
import { deviceRequestsOf, isCdiName } from "./convert-devices.js";
import { networksInOrder } from "./convert-networks.js";
import { pathIn, type ServiceScope, VERSIONED } from "./convert-scope.js";
import { bytesOf, durationUs, environmentList, ifTrue, nonEmpty } from "./convert-values.js";
import type { BlkioDoc, HookDoc, ServiceDoc, Size } from "./model.js";

/** Options of the node that Docker's client leaves out of a file with a version, with a warning. */
const IGNORED_WITH_VERSION = [
  "cgroup_parent",
  "cgroupns_mode",
  "devices",
  "domainname",
  "ipc",
  "mac_address",
  "pid",
  "privileged",
  "security_opt",
  "shm_size",
  "userns_mode",
] as const satisfies readonly (keyof ServiceDoc)[];

/** @throws {InvalidArgumentError} */
export function hostOptions(scope: ServiceScope): Json | undefined {
  const service = scope.versioned ? withoutIgnored(scope) : scope.service;
  const options: { [K in keyof HostOptionsBody]: HostOptionsBody[K] | undefined } = {
    Privileged: ifTrue(service.privileged),
    Devices: devices(service),
    DeviceCgroupRules: nonEmpty(service.device_cgroup_rules),
    CgroupParent: service.cgroup_parent,
    CgroupnsMode: cgroupNamespace(service, scope),
    IpcMode: namespaceOf("ipc", service.ipc, scope),
    PidMode: namespaceOf("pid", service.pid, scope),
    UTSMode: namespaceOf("uts", service.uts, scope),
    UsernsMode: namespaceOf("userns_mode", service.userns_mode, scope),
    ShmSize: bytesOf(service.shm_size, "shm_size"),
    SecurityOpt: nonEmpty(service.security_opt),
    CpusetCpus: service.cpuset,
    CpuShares: service.cpu_shares,
    CpuPeriod: durationUs(service.cpu_period),
    CpuQuota: durationUs(service.cpu_quota),
    CpuRealtimePeriod: durationUs(service.cpu_rt_period),
    CpuRealtimeRuntime: durationUs(service.cpu_rt_runtime),
    ...blkio(service.blkio_config),
    OomKillDisable: ifTrue(service.oom_kill_disable),
    Runtime: service.runtime,
    Annotations: nonEmpty(service.annotations),
    DeviceRequests: nonEmpty(deviceRequestsOf(service)),
    Tmpfs: tmpfs(service),
    Domainname: service.domainname,
    MacAddress: macAddress(service, scope),
    PullPolicy: pullPolicy(scope),
    PostStart: hooks(service.post_start),
    PreStop: hooks(service.pre_stop),
    UseApiSocket: ifTrue(service.use_api_socket),
  };
  return nonEmpty(given(options));
}

function withoutIgnored(scope: ServiceScope): ServiceDoc {
  const found = IGNORED_WITH_VERSION.filter((key) => scope.service[key] !== undefined);
  for (const key of found) scope.notes.warn(pathIn(scope, key), VERSIONED);
  return Object.fromEntries(
    Object.entries(scope.service).filter(([key]) => !found.some((ignored) => ignored === key)),
  );
}

function devices(service: ServiceDoc): HostOptionsBody["Devices"] {
  return nonEmpty(
    (service.devices ?? [])
      .filter(({ source }) => !isCdiName(source))
      .map(({ source, target, permissions }) => ({
        PathOnHost: source,
        PathInContainer: target ?? source,
        CgroupPermissions: permissions ?? "rwm",
      })),
  );
}

function cgroupNamespace(service: ServiceDoc, scope: ServiceScope): "host" | "private" | undefined {
  const mode = service.cgroup ?? service.cgroupns_mode;
  if (mode === undefined || mode === "host" || mode === "private") return mode;
  scope.notes.refuse(pathIn(scope, "cgroup"), `must be host or private, got ${JSON.stringify(mode)}`);
  return undefined;
}

/** Namespaces of the task itself or of its node; those of others are refused: who says that they are there? */
function namespaceOf(
  key: "ipc" | "pid" | "uts" | "userns_mode",
  mode: string | undefined,
  scope: ServiceScope,
): string | undefined {
  if (mode === undefined || !/^(service|container):/.test(mode)) return mode;
  scope.notes.refuse(
    pathIn(scope, key),
    `${JSON.stringify(mode)} cannot be: a task may run on any node, without the other's containers beside it`,
  );
  return undefined;
}

const rates = (
  list: readonly { readonly path: string; readonly rate: Size }[] | undefined,
): { readonly Path: string; readonly Rate: number }[] | undefined =>
  nonEmpty((list ?? []).map(({ path, rate }) => ({ Path: path, Rate: bytesOf(rate, "rate") ?? 0 })));

function blkio(doc: BlkioDoc | undefined): {
  [K in keyof HostOptionsBody]?: HostOptionsBody[K] | undefined;
} {
  return {
    BlkioWeight: doc?.weight,
    BlkioWeightDevice: nonEmpty(
      (doc?.weight_device ?? []).map(({ path, weight }) => ({ Path: path, Weight: weight })),
    ),
    BlkioDeviceReadBps: rates(doc?.device_read_bps),
    BlkioDeviceWriteBps: rates(doc?.device_write_bps),
    BlkioDeviceReadIOps: rates(doc?.device_read_iops),
    BlkioDeviceWriteIOps: rates(doc?.device_write_iops),
  };
}

/** "/run:size=64m" is { "/run": "size=64m" }. */
function tmpfs(service: ServiceDoc): Record<string, string> | undefined {
  const entries = (service.tmpfs ?? []).map((text): [string, string] => {
    const at = text.indexOf(":");
    return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
  });
  return nonEmpty(Object.fromEntries(entries));
}

/** The service's, or that of its first network: it is the first interface that gets it. */
function macAddress(service: ServiceDoc, scope: ServiceScope): string | undefined {
  const [first, ...others] = networksInOrder({ service, naming: scope.naming });
  const chosen = service.mac_address ?? first?.doc.mac_address;
  for (const { key, doc } of first === undefined ? [] : [first, ...others]) {
    if (doc.mac_address === undefined || (key === first?.key && doc.mac_address === chosen)) continue;
    scope.notes.warn(
      pathIn(scope, "networks", key, "mac_address"),
      `has no effect: the first interface alone takes a MAC address, that of network ${first?.key}` +
        (chosen === undefined ? "" : `, which has ${chosen}`),
    );
  }
  return chosen;
}

const POLICIES: Readonly<Record<string, string>> = { if_not_present: "missing" };

function pullPolicy(scope: ServiceScope): string | undefined {
  const { pull_policy: policy, pull_refresh_after: after } = scope.service;
  if (policy === "refresh") {
    if (after !== undefined) return `every_${after}`;
    scope.notes.refuse(pathIn(scope, "pull_policy"), "refresh needs pull_refresh_after");
  }
  // what is built is on the node that built it, or in a registry: it is pulled when it is missing
  if (policy === "build") return undefined;
  return policy === undefined ? undefined : (POLICIES[policy] ?? policy);
}

function hooks(list: readonly HookDoc[] | undefined): LifecycleHookBody[] | undefined {
  return nonEmpty(
    (list ?? []).map((hook): LifecycleHookBody => {
      const env = environmentList(hook.environment);
      return {
        Command: hook.command,
        ...(hook.user === undefined ? {} : { User: hook.user }),
        ...(hook.privileged === true ? { Privileged: true } : {}),
        ...(hook.working_dir === undefined ? {} : { WorkingDir: hook.working_dir }),
        ...(env === undefined ? {} : { Env: env }),
      };
    }),
  );
}
