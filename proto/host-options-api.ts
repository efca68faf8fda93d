/**
 * What a task may ask of its node beyond Docker's services: the JSON of
 * `TaskTemplate.ContainerSpec.HostConfig` in POST /services/create, /services/ID/update and the Specs of stacks.
 * Written by the command line, read by the API and shown again by inspect. Pure (types).
 * Names and units are those of HostConfig in the Engine API 1.51 up to `Tmpfs`; what follows has no place there.
 * Absent, "", 0, false and empty mean the same: not asked for. Whatever is not here is warned about by name.
 */
export interface HostOptionsBody {
  readonly Privileged?: boolean;
  readonly Devices?: readonly {
    readonly PathOnHost: string;
    /** @default PathOnHost */
    readonly PathInContainer?: string;
    /** Some of "rwm". @default "rwm" */
    readonly CgroupPermissions?: string;
  }[];
  /** "c 1:3 rwm" */
  readonly DeviceCgroupRules?: readonly string[];
  readonly CgroupParent?: string;
  readonly CgroupnsMode?: "" | "host" | "private";
  /** "none", "private", "shareable" or "host"; another container's is refused: a task has no neighbour. */
  readonly IpcMode?: string;
  /** "host" */
  readonly PidMode?: string;
  /** "host" */
  readonly UTSMode?: string;
  /** "host" */
  readonly UsernsMode?: string;
  /** Bytes. */
  readonly ShmSize?: number;
  /** "label=…", "apparmor=…", "seccomp=unconfined" or its JSON, "no-new-privileges[=…]", "systempaths=unconfined". */
  readonly SecurityOpt?: readonly string[];
  /** "0-2,4" */
  readonly CpusetCpus?: string;
  readonly CpusetMems?: string;
  readonly CpuShares?: number;
  /** Microseconds, as are the three after it. */
  readonly CpuPeriod?: number;
  readonly CpuQuota?: number;
  readonly CpuRealtimePeriod?: number;
  readonly CpuRealtimeRuntime?: number;
  /** 10 to 1000. */
  readonly BlkioWeight?: number;
  readonly BlkioWeightDevice?: readonly { readonly Path: string; readonly Weight: number }[];
  readonly BlkioDeviceReadBps?: readonly DeviceRateBody[];
  readonly BlkioDeviceWriteBps?: readonly DeviceRateBody[];
  readonly BlkioDeviceReadIOps?: readonly DeviceRateBody[];
  readonly BlkioDeviceWriteIOps?: readonly DeviceRateBody[];
  readonly OomKillDisable?: boolean;
  readonly StorageOpt?: Readonly<Record<string, string>>;
  readonly Runtime?: string;
  readonly Annotations?: Readonly<Record<string, string>>;
  readonly DeviceRequests?: readonly {
    readonly Driver?: string;
    /** -1: all. */
    readonly Count?: number;
    readonly DeviceIDs?: readonly string[];
    /** As the Engine API has it, a list of lists; one list, all of which a device must have, is taken. */
    readonly Capabilities?: readonly (readonly string[])[];
    readonly Options?: Readonly<Record<string, string>>;
  }[];
  /** Options by target: { "/run": "rw,size=64m" }. */
  readonly Tmpfs?: Readonly<Record<string, string>>;

  readonly Domainname?: string;
  readonly MacAddress?: string;
  /** "always", "missing", "never", "daily", "weekly" or "every_" and a duration ("every_12h"). @default "missing" */
  readonly PullPolicy?: string;
  readonly PostStart?: readonly LifecycleHookBody[];
  readonly PreStop?: readonly LifecycleHookBody[];
  readonly UseApiSocket?: boolean;
}

export interface DeviceRateBody {
  readonly Path: string;
  /** Bytes, or operations, per second. */
  readonly Rate: number;
}

export interface LifecycleHookBody {
  readonly Command: readonly string[];
  readonly User?: string;
  readonly Privileged?: boolean;
  readonly WorkingDir?: string;
  /** "NAME=VALUE" */
  readonly Env?: readonly string[];
}
