/**
 * What a task may ask of its node beyond Docker's services: `ContainerSpec.HostConfig` to ours. Pure.
 * Shapes alone are checked here; the manager knows the rules. Absent and empty mean the same of a new
 * service; of an update see kept-wishes.ts.
 * Source: proto/host-options-api.ts; Docker Engine API 1.51, HostConfig.
 */
import { InvalidArgumentError } from "../../base/errors/errors.js";
import {
  BlkioOptions,
  type DeviceRequest,
  HostOptions,
  type LifecycleHook,
} from "../../proto/gen/skein/v1/host_options.js";
import type { Fields } from "./fields.js";

/** -1 and other words of their own: the manager says what they may be. */
const ANY = { min: Number.MIN_SAFE_INTEGER };
const UINT = { min: 0 };

/** @throws {InvalidArgumentError} with the path of the field, the rule and the value. */
export function hostOptionsIn(host: Fields | undefined): HostOptions | undefined {
  if (host === undefined) return undefined;
  const blkio = blkioIn(host);
  return HostOptions.fromPartial({
    privileged: host.bool("Privileged"),
    devices: host.objects("Devices").map((device) => ({
      pathOnHost: device.string("PathOnHost"),
      pathInContainer: device.string("PathInContainer"),
      cgroupPermissions: device.string("CgroupPermissions"),
    })),
    deviceCgroupRules: host.strings("DeviceCgroupRules"),
    cgroupParent: host.string("CgroupParent"),
    cgroupnsMode: host.string("CgroupnsMode"),
    ipcMode: host.string("IpcMode"),
    pidMode: host.string("PidMode"),
    utsMode: host.string("UTSMode"),
    usernsMode: host.string("UsernsMode"),
    shmSizeBytes: host.integer("ShmSize", UINT),
    securityOpts: host.strings("SecurityOpt"),
    cpusetCpus: host.string("CpusetCpus"),
    cpusetMems: host.string("CpusetMems"),
    cpuShares: host.integer("CpuShares", UINT),
    cpuPeriodUs: host.integer("CpuPeriod", ANY),
    cpuQuotaUs: host.integer("CpuQuota", ANY),
    cpuRealtimePeriodUs: host.integer("CpuRealtimePeriod", ANY),
    cpuRealtimeRuntimeUs: host.integer("CpuRealtimeRuntime", ANY),
    ...(blkio === undefined ? {} : { blkio }),
    ...(host.bool("OomKillDisable") ? { oomKillDisable: true } : {}),
    storageOpts: host.stringMap("StorageOpt"),
    runtime: host.string("Runtime"),
    annotations: host.stringMap("Annotations"),
    deviceRequests: host.objects("DeviceRequests").map(deviceRequestIn),
    tmpfs: Object.entries(host.stringMap("Tmpfs")).map(([target, words]) =>
      words === "" ? target : `${target}:${words}`,
    ),
    domainname: host.string("Domainname"),
    macAddress: host.string("MacAddress"),
    pullPolicy: host.string("PullPolicy"),
    postStart: host.objects("PostStart").map(hookIn),
    preStop: host.objects("PreStop").map(hookIn),
    useApiSocket: host.bool("UseApiSocket"),
  });
}

function blkioIn(host: Fields): BlkioOptions | undefined {
  const values = (key: string, of: "Weight" | "Rate"): { path: string; value: number }[] =>
    host.objects(key).map((one) => ({ path: one.string("Path"), value: one.integer(of, UINT) }));
  const options = BlkioOptions.fromPartial({
    weight: host.integer("BlkioWeight", UINT),
    weightDevice: values("BlkioWeightDevice", "Weight"),
    deviceReadBps: values("BlkioDeviceReadBps", "Rate"),
    deviceWriteBps: values("BlkioDeviceWriteBps", "Rate"),
    deviceReadIops: values("BlkioDeviceReadIOps", "Rate"),
    deviceWriteIops: values("BlkioDeviceWriteIOps", "Rate"),
  });
  return BlkioOptions.encode(options).finish().length === 0 ? undefined : options;
}

function deviceRequestIn(fields: Fields): DeviceRequest {
  return {
    driver: fields.string("Driver"),
    count: fields.integer("Count", ANY),
    deviceIds: fields.strings("DeviceIDs"),
    capabilities: capabilitiesIn(fields),
    options: fields.stringMap("Options"),
  };
}

/** The Engine API has a list of alternatives, each a list of what a device must have. */
function capabilitiesIn(fields: Fields): string[] {
  const value = fields.raw("Capabilities") ?? [];
  const isList = (item: unknown): item is string[] =>
    Array.isArray(item) && item.every((word) => typeof word === "string");
  const path = `${fields.path}.Capabilities`;
  if (!Array.isArray(value) || !value.every(isList))
    throw new InvalidArgumentError(`${path} must be a list of lists of strings`);
  if (value.length > 1)
    throw new InvalidArgumentError(
      `${path} must hold one list, all of which a device must have, got ${value.length}: ` +
        "alternatives are for plain containers",
    );
  return value[0] ?? [];
}

function hookIn(fields: Fields): LifecycleHook {
  return {
    command: fields.strings("Command"),
    user: fields.string("User"),
    privileged: fields.bool("Privileged"),
    workingDir: fields.string("WorkingDir"),
    env: fields.strings("Env"),
  };
}
