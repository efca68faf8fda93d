/**
 * A compose file in long form: what is left when short forms, files and variables are resolved. Pure (types).
 * Keys are the file's own words, so that files merge key by key.
 */

export interface PortDoc {
  readonly target: number;
  readonly published?: number;
  readonly protocol: string;
  readonly mode: string;
  readonly name?: string;
}

export interface MountDoc {
  readonly type: string;
  readonly source?: string;
  readonly target: string;
  readonly read_only?: boolean;
  readonly consistency?: string;
  readonly bind?: { readonly propagation?: string; readonly create_host_path?: boolean };
  readonly volume?: {
    readonly nocopy?: boolean;
    readonly subpath?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly tmpfs?: { readonly size?: number | string; readonly mode?: number };
  readonly image?: { readonly subpath?: string };
}

export interface FileRefDoc {
  readonly source: string;
  readonly target?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly mode?: number;
}

export interface ServiceNetworkDoc {
  readonly aliases?: readonly string[];
  readonly driver_opts?: Readonly<Record<string, string>>;
}

export interface HealthDoc {
  readonly test?: readonly string[];
  readonly interval?: string;
  readonly timeout?: string;
  readonly retries?: number;
  readonly start_period?: string;
  readonly start_interval?: string;
  readonly disable?: boolean;
}

export interface UpdateDoc {
  readonly parallelism?: number;
  readonly delay?: string;
  readonly failure_action?: string;
  readonly monitor?: string;
  readonly max_failure_ratio?: number;
  readonly order?: string;
}

export interface AmountsDoc {
  readonly cpus?: string | number;
  readonly memory?: string | number;
  readonly pids?: number;
  readonly generic_resources?: readonly {
    readonly discrete_resource_spec?: { readonly kind: string; readonly value: number };
  }[];
}

export interface DeployDoc {
  readonly mode?: string;
  readonly endpoint_mode?: string;
  readonly replicas?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly update_config?: UpdateDoc;
  readonly rollback_config?: UpdateDoc;
  readonly resources?: { readonly limits?: AmountsDoc; readonly reservations?: AmountsDoc };
  readonly restart_policy?: {
    readonly condition?: string;
    readonly delay?: string;
    readonly max_attempts?: number;
    readonly window?: string;
  };
  readonly placement?: {
    readonly constraints?: readonly string[];
    readonly preferences?: readonly { readonly spread: string }[];
    readonly max_replicas_per_node?: number;
  };
}

export interface ServiceDoc {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  /** A variable without value is taken away from the container, as `NAME` alone says. */
  readonly environment?: Readonly<Record<string, string | null>>;
  readonly working_dir?: string;
  readonly user?: string;
  readonly group_add?: readonly string[];
  readonly hostname?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly init?: boolean;
  readonly tty?: boolean;
  readonly stdin_open?: boolean;
  readonly read_only?: boolean;
  readonly stop_signal?: string;
  readonly stop_grace_period?: string;
  readonly isolation?: string;
  readonly healthcheck?: HealthDoc;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly ulimits?: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>;
  readonly oom_score_adj?: number;
  readonly dns?: readonly string[];
  readonly dns_search?: readonly string[];
  readonly dns_opt?: readonly string[];
  /** "ADDRESS NAME", as lines of /etc/hosts. */
  readonly extra_hosts?: readonly string[];
  readonly logging?: { readonly driver?: string; readonly options?: Readonly<Record<string, string>> };
  readonly networks?: Readonly<Record<string, ServiceNetworkDoc>>;
  readonly ports?: readonly PortDoc[];
  readonly volumes?: readonly MountDoc[];
  readonly configs?: readonly FileRefDoc[];
  readonly secrets?: readonly FileRefDoc[];
  readonly restart?: string;
  readonly scale?: number;
  readonly deploy?: DeployDoc;
}

interface NamedDoc {
  /** The name in the cluster; without it STACK_key. */
  readonly name?: string;
  readonly external?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface NetworkDoc extends NamedDoc {
  readonly driver?: string;
  readonly driver_opts?: Readonly<Record<string, string>>;
  readonly internal?: boolean;
  readonly attachable?: boolean;
  readonly enable_ipv6?: boolean;
  readonly ipam?: {
    readonly driver?: string;
    readonly config?: readonly {
      readonly subnet?: string;
      readonly ip_range?: string;
      readonly gateway?: string;
      readonly aux_addresses?: Readonly<Record<string, string>>;
    }[];
    readonly options?: Readonly<Record<string, string>>;
  };
}

export interface VolumeDoc extends NamedDoc {
  readonly driver?: string;
  readonly driver_opts?: Readonly<Record<string, string>>;
}

export interface FileDoc extends NamedDoc {
  /** An absolute path, or one relative to where the command runs. */
  readonly file?: string;
  readonly environment?: string;
  readonly content?: string;
  readonly driver?: string;
  readonly driver_opts?: Readonly<Record<string, string>>;
  readonly template_driver?: string;
}

export interface ComposeDoc {
  readonly name?: string;
  readonly services: Readonly<Record<string, ServiceDoc>>;
  readonly networks: Readonly<Record<string, NetworkDoc>>;
  readonly volumes: Readonly<Record<string, VolumeDoc>>;
  readonly secrets: Readonly<Record<string, FileDoc>>;
  readonly configs: Readonly<Record<string, FileDoc>>;
}
