/**
 * What a task asks of its node beyond Docker's services, in a form in which what means the same is equal.
 * Pure. For comparison only. Absent, empty and the defaults are one.
 */
import { BlkioOptions, HostOptions } from "../../proto/gen/skein/v1/host_options.js";

const NOTHING = HostOptions.fromPartial({});
const NO_BLKIO = BlkioOptions.fromPartial({});
/** Docker's defaults: written out they ask for nothing. */
const SHM_BYTES = 64 * 1024 * 1024;
const RUNTIME = "io.containerd.runc.v2";

export function normalHost(host: HostOptions = NOTHING): object {
  return {
    ...host,
    devices: host.devices
      .map((device) => ({
        ...device,
        pathInContainer: device.pathInContainer || device.pathOnHost,
        cgroupPermissions: [...(device.cgroupPermissions || "rwm")].sort().join(""),
      }))
      .sort((a, b) => compare(a.pathInContainer, b.pathInContainer)),
    deviceCgroupRules: [...host.deviceCgroupRules].sort(),
    securityOpts: [...host.securityOpts].sort(),
    tmpfs: [...host.tmpfs].sort(),
    blkio: host.blkio ?? NO_BLKIO,
    ipcMode: host.ipcMode === "private" ? "" : host.ipcMode,
    shmSizeBytes: host.shmSizeBytes === SHM_BYTES ? 0 : host.shmSizeBytes,
    runtime: host.runtime === RUNTIME ? "" : host.runtime,
    oomKillDisable: host.oomKillDisable ?? false,
    macAddress: host.macAddress.toLowerCase(),
    pullPolicy: host.pullPolicy || "missing",
  };
}

/** What it runs as: when to ask for the image again is no reason to replace a task that runs. */
export function runningHost(host: HostOptions = NOTHING): HostOptions {
  return { ...host, pullPolicy: "" };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
