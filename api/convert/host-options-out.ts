/**
 * What a task asks of its node beyond Docker's services, as inspect shows it. Pure.
 * Invariant: read again it gives the same.
 */

import { tmpfsParts } from "../../proto/engine/tmpfs-options.js";
import type {
  BlkioDeviceValue,
  DeviceRequest,
  HostOptions,
  LifecycleHook,
} from "../../proto/gen/skein/v1/host_options.js";
import { type JsonObject, omitEmpty } from "./shape.js";

/** @returns {} when there is nothing of it: absent in JSON. */
export function hostOptionsOut(host: HostOptions | undefined): JsonObject {
  if (host === undefined) return {};
  const { blkio } = host;
  return omitEmpty({
    Privileged: host.privileged,
    Devices: host.devices.map((device) =>
      omitEmpty({
        PathOnHost: device.pathOnHost,
        PathInContainer: device.pathInContainer,
        CgroupPermissions: device.cgroupPermissions,
      }),
    ),
    DeviceCgroupRules: host.deviceCgroupRules,
    CgroupParent: host.cgroupParent,
    CgroupnsMode: host.cgroupnsMode,
    IpcMode: host.ipcMode,
    PidMode: host.pidMode,
    UTSMode: host.utsMode,
    UsernsMode: host.usernsMode,
    ShmSize: host.shmSizeBytes,
    SecurityOpt: host.securityOpts,
    CpusetCpus: host.cpusetCpus,
    CpusetMems: host.cpusetMems,
    CpuShares: host.cpuShares,
    CpuPeriod: host.cpuPeriodUs,
    CpuQuota: host.cpuQuotaUs,
    CpuRealtimePeriod: host.cpuRealtimePeriodUs,
    CpuRealtimeRuntime: host.cpuRealtimeRuntimeUs,
    BlkioWeight: blkio?.weight,
    BlkioWeightDevice: valuesOut(blkio?.weightDevice, "Weight"),
    BlkioDeviceReadBps: valuesOut(blkio?.deviceReadBps, "Rate"),
    BlkioDeviceWriteBps: valuesOut(blkio?.deviceWriteBps, "Rate"),
    BlkioDeviceReadIOps: valuesOut(blkio?.deviceReadIops, "Rate"),
    BlkioDeviceWriteIOps: valuesOut(blkio?.deviceWriteIops, "Rate"),
    OomKillDisable: host.oomKillDisable,
    StorageOpt: host.storageOpts,
    Runtime: host.runtime,
    Annotations: host.annotations,
    DeviceRequests: host.deviceRequests.map(deviceRequestOut),
    Tmpfs: Object.fromEntries(
      host.tmpfs.map((text) => {
        const { target, options } = tmpfsParts(text);
        return [target, options];
      }),
    ),
    Domainname: host.domainname,
    MacAddress: host.macAddress,
    PullPolicy: host.pullPolicy,
    PostStart: host.postStart.map(hookOut),
    PreStop: host.preStop.map(hookOut),
    UseApiSocket: host.useApiSocket,
  });
}

function valuesOut(values: readonly BlkioDeviceValue[] = [], name: "Weight" | "Rate"): JsonObject[] {
  return values.map(({ path, value }) => ({ Path: path, [name]: value }));
}

function deviceRequestOut(request: DeviceRequest): JsonObject {
  return omitEmpty({
    Driver: request.driver,
    Count: request.count,
    DeviceIDs: request.deviceIds,
    Capabilities: request.capabilities.length === 0 ? [] : [request.capabilities],
    Options: request.options,
  });
}

function hookOut(hook: LifecycleHook): JsonObject {
  return omitEmpty({
    Command: hook.command,
    User: hook.user,
    Privileged: hook.privileged,
    WorkingDir: hook.workingDir,
    Env: hook.env,
  });
}
