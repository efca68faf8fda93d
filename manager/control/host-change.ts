/**
 * What of a task's wishes beyond Docker's services changed, in words: "privileged mode, shared memory".
 * Pure. Names only, never values; each thing once.
 */
import type { HostOptions } from "../../proto/gen/skein/v1/host_options.js";
import { deepEqual } from "../orchestrator/spec-equality.js";

/** In the order in which they are told. */
const HOST_WORDS: { readonly [Field in keyof HostOptions]-?: string } = {
  privileged: "privileged mode",
  devices: "devices of the node",
  deviceCgroupRules: "device rules",
  deviceRequests: "requested devices",
  cgroupParent: "cgroup parent",
  cgroupnsMode: "cgroup namespace",
  ipcMode: "IPC namespace",
  pidMode: "PID namespace",
  utsMode: "UTS namespace",
  usernsMode: "user namespace",
  shmSizeBytes: "shared memory",
  securityOpts: "security options",
  cpusetCpus: "CPU set",
  cpusetMems: "memory nodes",
  cpuShares: "CPU shares",
  cpuPeriodUs: "CPU period",
  cpuQuotaUs: "CPU quota",
  cpuRealtimePeriodUs: "real-time period",
  cpuRealtimeRuntimeUs: "real-time runtime",
  blkio: "block I/O",
  oomKillDisable: "OOM killer",
  storageOpts: "storage options",
  runtime: "runtime",
  domainname: "domain name",
  macAddress: "MAC address",
  annotations: "annotations",
  pullPolicy: "pull policy",
  postStart: "post-start hooks",
  preStop: "pre-stop hooks",
  tmpfs: "tmpfs",
  useApiSocket: "API socket",
};

/** @param before in normal form, as is `after`. */
export function hostParts(before: object, after: object): string[] {
  return Object.entries(HOST_WORDS)
    .filter(([field]) => !deepEqual(Reflect.get(before, field), Reflect.get(after, field)))
    .map(([, words]) => words);
}
