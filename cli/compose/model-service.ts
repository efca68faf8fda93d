/**
 * A service of a compose project in long form. Pure (types). Rules: model.ts.
 */
import type { Cpus, DurationText, Environment, Extended, Size, TextMap } from "./model.js";
import type { DeployDoc, DeviceRequestDoc } from "./model-deploy.js";
import type { BuildDoc, DevelopDoc } from "./model-develop.js";
import type { PortDoc, ServiceNetworkDoc } from "./model-network.js";
import type { FileRefDoc, MountDoc } from "./model-storage.js";

export interface HealthDoc extends Extended {
  readonly test?: readonly string[];
  readonly interval?: DurationText;
  readonly timeout?: DurationText;
  readonly retries?: number;
  readonly start_period?: DurationText;
  readonly start_interval?: DurationText;
  readonly disable?: boolean;
}

export interface LoggingDoc extends Extended {
  readonly driver?: string;
  readonly options?: TextMap;
}

export interface DependencyDoc extends Extended {
  /** @default "service_started" */
  readonly condition: "service_started" | "service_healthy" | "service_completed_successfully";
  readonly restart?: boolean;
  /** @default true */
  readonly required?: boolean;
}

export interface EnvFileDoc {
  readonly path: string;
  readonly required?: boolean;
  readonly format?: string;
}

/** A number alone: both. */
export type UlimitDoc = number | ({ readonly soft: number; readonly hard: number } & Extended);

/** A CDI name ("vendor.com/gpu=0") is a source alone. */
export interface DeviceDoc extends Extended {
  readonly source: string;
  readonly target?: string;
  readonly permissions?: string;
}

export interface BlkioDoc {
  readonly weight?: number;
  readonly weight_device?: readonly { readonly path: string; readonly weight: number }[];
  readonly device_read_bps?: readonly { readonly path: string; readonly rate: Size }[];
  readonly device_write_bps?: readonly { readonly path: string; readonly rate: Size }[];
  readonly device_read_iops?: readonly { readonly path: string; readonly rate: Size }[];
  readonly device_write_iops?: readonly { readonly path: string; readonly rate: Size }[];
}

export interface CredentialSpecDoc extends Extended {
  readonly config?: string;
  readonly file?: string;
  readonly registry?: string;
}

export interface HookDoc extends Extended {
  readonly command: readonly string[];
  readonly user?: string;
  readonly privileged?: boolean;
  readonly working_dir?: string;
  readonly environment?: Environment;
}

/** In a container of its own, before those of the service. */
export interface PreStartDoc extends Omit<HookDoc, "command"> {
  readonly command?: readonly string[];
  readonly image?: string;
  readonly per_replica?: boolean;
}

export interface ProviderDoc extends Extended {
  readonly type: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface ServiceModelDoc extends Extended {
  readonly endpoint_var?: string;
  readonly model_var?: string;
}

export interface ServiceDoc extends Extended {
  readonly annotations?: TextMap;
  readonly attach?: boolean;
  readonly blkio_config?: BlkioDoc;
  readonly build?: BuildDoc;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly cgroup?: string;
  readonly cgroup_parent?: string;
  /** The word of the version 3 files for `cgroup`. */
  readonly cgroupns_mode?: string;
  readonly command?: readonly string[];
  readonly configs?: readonly FileRefDoc[];
  readonly container_name?: string;
  readonly cpu_count?: number;
  readonly cpu_percent?: number;
  readonly cpu_period?: number | DurationText;
  readonly cpu_quota?: number | DurationText;
  readonly cpu_rt_period?: number | DurationText;
  readonly cpu_rt_runtime?: number | DurationText;
  readonly cpu_shares?: number;
  readonly cpus?: Cpus;
  readonly cpuset?: string;
  readonly credential_spec?: CredentialSpecDoc;
  readonly depends_on?: Readonly<Record<string, DependencyDoc>>;
  readonly deploy?: DeployDoc;
  readonly develop?: DevelopDoc;
  readonly device_cgroup_rules?: readonly string[];
  readonly devices?: readonly DeviceDoc[];
  readonly dns?: readonly string[];
  readonly dns_opt?: readonly string[];
  readonly dns_search?: readonly string[];
  readonly domainname?: string;
  readonly entrypoint?: readonly string[];
  /** Kept for who prints without resolving; what the files say is in `environment`. */
  readonly env_file?: readonly EnvFileDoc[];
  /** A variable without value is taken away from the container, as `NAME` alone says. */
  readonly environment?: Environment;
  readonly expose?: readonly string[];
  readonly external_links?: readonly string[];
  /** "NAME:ADDRESS", addresses without brackets. */
  readonly extra_hosts?: readonly string[];
  readonly gpus?: readonly DeviceRequestDoc[];
  readonly group_add?: readonly string[];
  readonly healthcheck?: HealthDoc;
  readonly hostname?: string;
  readonly image?: string;
  readonly init?: boolean;
  readonly ipc?: string;
  readonly isolation?: string;
  /** Kept for who prints without resolving; what the files say is in `labels`. */
  readonly label_file?: readonly string[];
  readonly labels?: TextMap;
  readonly links?: readonly string[];
  readonly logging?: LoggingDoc;
  readonly mac_address?: string;
  readonly mem_limit?: Size;
  readonly mem_reservation?: Size;
  readonly mem_swappiness?: number;
  readonly memswap_limit?: Size;
  readonly models?: Readonly<Record<string, ServiceModelDoc>>;
  readonly network_mode?: string;
  readonly networks?: Readonly<Record<string, ServiceNetworkDoc>>;
  readonly oom_kill_disable?: boolean;
  readonly oom_score_adj?: number;
  readonly pid?: string;
  readonly pids_limit?: number;
  readonly platform?: string;
  readonly ports?: readonly PortDoc[];
  readonly post_start?: readonly HookDoc[];
  readonly pre_start?: readonly PreStartDoc[];
  readonly pre_stop?: readonly HookDoc[];
  readonly privileged?: boolean;
  readonly profiles?: readonly string[];
  readonly provider?: ProviderDoc;
  readonly pull_policy?: string;
  readonly pull_refresh_after?: string;
  readonly read_only?: boolean;
  readonly restart?: string;
  readonly runtime?: string;
  readonly scale?: number;
  readonly secrets?: readonly FileRefDoc[];
  readonly security_opt?: readonly string[];
  readonly shm_size?: Size;
  readonly stdin_open?: boolean;
  readonly stop_grace_period?: DurationText;
  readonly stop_signal?: string;
  readonly storage_opt?: TextMap;
  readonly sysctls?: TextMap;
  /** "TARGET[:OPTIONS]" */
  readonly tmpfs?: readonly string[];
  readonly tty?: boolean;
  readonly ulimits?: Readonly<Record<string, UlimitDoc>>;
  readonly use_api_socket?: boolean;
  readonly user?: string;
  readonly userns_mode?: string;
  readonly uts?: string;
  readonly volumes?: readonly MountDoc[];
  readonly volumes_from?: readonly string[];
  readonly working_dir?: string;
}
