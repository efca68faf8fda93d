/**
 * Docker's structs of a container, as its inspect lays them out. Pure (tables).
 * Source: Docker Engine API 1.51 (ContainerConfig, HostConfig, Mount, EndpointSettings) and 1.41's answers.
 */
import { fieldsOf, type GoShape } from "./go-shape.js";

const PORT_BINDING: GoShape = fieldsOf("", "HostIp HostPort");
const DEVICE_RATE: GoShape = [
  { key: "Path", zero: "" },
  { key: "Rate", zero: 0 },
];

export const MOUNT: GoShape = [
  ...fieldsOf(undefined, "Type Source Target ReadOnly Consistency"),
  {
    key: "BindOptions",
    of: "struct",
    shape: fieldsOf(
      undefined,
      "Propagation NonRecursive CreateMountpoint ReadOnlyNonRecursive ReadOnlyForceRecursive",
    ),
  },
  {
    key: "VolumeOptions",
    of: "struct",
    shape: [
      ...fieldsOf(undefined, "NoCopy Labels Subpath"),
      { key: "DriverConfig", of: "struct", shape: fieldsOf(undefined, "Name Options") },
    ],
  },
  { key: "ImageOptions", of: "struct", shape: fieldsOf(undefined, "Subpath") },
  { key: "TmpfsOptions", of: "struct", shape: fieldsOf(undefined, "SizeBytes Mode Options") },
];

export const HOST_CONFIG: GoShape = [
  { key: "Binds", zero: null },
  { key: "ContainerIDFile", zero: "" },
  {
    key: "LogConfig",
    zero: { Type: "", Config: {} },
    of: "struct",
    shape: [
      { key: "Type", zero: "" },
      { key: "Config", zero: {} },
    ],
  },
  { key: "NetworkMode", zero: "" },
  { key: "PortBindings", zero: null, of: "map of lists", shape: PORT_BINDING },
  {
    key: "RestartPolicy",
    zero: { Name: "", MaximumRetryCount: 0 },
    of: "struct",
    shape: [
      { key: "Name", zero: "" },
      { key: "MaximumRetryCount", zero: 0 },
    ],
  },
  { key: "AutoRemove", zero: false },
  { key: "VolumeDriver", zero: "" },
  { key: "VolumesFrom", zero: null },
  { key: "ConsoleSize", zero: [0, 0] },
  { key: "Annotations" },
  ...fieldsOf(null, "CapAdd CapDrop"),
  { key: "CgroupnsMode", zero: "" },
  ...fieldsOf(null, "Dns DnsOptions DnsSearch ExtraHosts GroupAdd"),
  ...fieldsOf("", "IpcMode Cgroup"),
  { key: "Links", zero: null },
  { key: "OomScoreAdj", zero: 0 },
  { key: "PidMode", zero: "" },
  ...fieldsOf(false, "Privileged PublishAllPorts ReadonlyRootfs"),
  { key: "SecurityOpt", zero: null },
  ...fieldsOf(undefined, "StorageOpt Tmpfs"),
  ...fieldsOf("", "UTSMode UsernsMode"),
  { key: "ShmSize", zero: 0 },
  ...fieldsOf(undefined, "Sysctls Runtime"),
  { key: "Isolation", zero: "" },
  ...fieldsOf(0, "CpuShares Memory NanoCpus"),
  { key: "CgroupParent", zero: "" },
  { key: "BlkioWeight", zero: 0 },
  {
    key: "BlkioWeightDevice",
    zero: null,
    of: "list",
    shape: [
      { key: "Path", zero: "" },
      { key: "Weight", zero: 0 },
    ],
  },
  ...["BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps"].map(
    (key) => ({ key, zero: null, of: "list" as const, shape: DEVICE_RATE }),
  ),
  ...fieldsOf(0, "CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime"),
  ...fieldsOf("", "CpusetCpus CpusetMems"),
  {
    key: "Devices",
    zero: null,
    of: "list",
    shape: fieldsOf("", "PathOnHost PathInContainer CgroupPermissions"),
  },
  { key: "DeviceCgroupRules", zero: null },
  {
    key: "DeviceRequests",
    zero: null,
    of: "list",
    shape: [
      { key: "Driver", zero: "" },
      { key: "Count", zero: 0 },
      ...fieldsOf(null, "DeviceIDs Capabilities Options"),
    ],
  },
  ...fieldsOf(0, "MemoryReservation MemorySwap"),
  ...fieldsOf(null, "MemorySwappiness OomKillDisable PidsLimit"),
  {
    key: "Ulimits",
    zero: null,
    of: "list",
    shape: [
      { key: "Name", zero: "" },
      { key: "Hard", zero: 0 },
      { key: "Soft", zero: 0 },
    ],
  },
  ...fieldsOf(0, "CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth"),
  { key: "Mounts", of: "list", shape: MOUNT },
  ...fieldsOf(null, "MaskedPaths ReadonlyPaths"),
  { key: "Init", pointer: true },
];

/** What of Config inspect gives back as it was asked for; the rest is told from the specification. */
export const KEPT_CONFIG: GoShape = [
  ...fieldsOf(undefined, "ArgsEscaped NetworkDisabled MacAddress OnBuild Shell Volumes"),
  { key: "StopTimeout", pointer: true },
];
