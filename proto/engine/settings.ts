/**
 * The contract of the engine's settings: what dockerd's flags and daemon.json set, under the same names. Pure
 * (types only). Some can change while the daemon runs (SIGHUP); who uses them asks each time.
 */

export interface AddressPool {
  /** CIDR of which networks are cut. */
  readonly base: string;
  /** Prefix length of each network. */
  readonly size: number;
}

export interface EngineSettings {
  readonly debug: boolean;
  readonly labels: readonly string[];
  readonly insecureRegistries: readonly string[];
  readonly registryMirrors: readonly string[];
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
  readonly proxies: { readonly http: string; readonly https: string; readonly no: string };
  /** What this node has for tasks that reserve it, as `NAME=UNIT` or `NAME=COUNT`. */
  readonly nodeGenericResources: readonly string[];
  /** Address or interface for init and join that name none; "" : found out. */
  readonly swarmDefaultAdvertiseAddr: string;
  /** Of containers that ask for nothing else. */
  readonly container: {
    readonly logDriver: string;
    readonly logOptions: Readonly<Record<string, string>>;
    readonly init: boolean;
    readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
    readonly shmSizeBytes: number;
    readonly ipcMode: string;
    readonly cgroupnsMode: string;
    readonly noNewPrivileges: boolean;
    /** "" : the daemon's own. */
    readonly runtime: string;
    readonly dns: readonly string[];
    readonly dnsSearch: readonly string[];
    readonly dnsOptions: readonly string[];
    /** Path of a seccomp profile, "unconfined", or "" for the built-in one. */
    readonly seccompProfile: string;
  };
  /** Of the local networks; read at the start. */
  readonly network: {
    /** Empty: Docker's. */
    readonly addressPools: readonly AddressPool[];
    /** Address and prefix of the default bridge; "" : from the pools. */
    readonly bridgeAddress: string;
    readonly fixedCidr: string;
    readonly mtu: number;
    readonly interContainer: boolean;
    readonly masquerade: boolean;
    /** Host address of published ports that name none. */
    readonly hostAddress: string;
    readonly hostGateway: string;
  };
}
