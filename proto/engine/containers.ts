/**
 * The contract between the HTTP surface and the node's container manager: what is asked, what is kept, what
 * is told. Pure (types only).
 * Promises: a container outlives the daemon; after a restart it is found again with its true state;
 * an exit is reported once with its code, also when it happened while the daemon was down.
 * Meanings and defaults are those of Docker Engine API 1.24 to 1.51 where a field has its name.
 */
import type { ContainerNetworking, EndpointState, PortBinding } from "./networks.js";

export type ContainerState =
  | "created"
  | "running"
  | "paused"
  /** Ended; its restart policy starts it again after a pause. */
  | "restarting"
  | "removing"
  | "exited"
  | "dead";

export interface FileToPlace {
  /** Absolute path in the container. Placed read-only from a tmpfs: never on the node's disk. */
  readonly target: string;
  readonly data: Uint8Array;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

export type ContainerMount =
  | {
      readonly kind: "bind";
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly propagation: string;
      readonly recursive: boolean;
      readonly createSource: boolean;
      /** Read-only also below other mounts of the source. @default as readOnly where the kernel can */
      readonly readOnlyRecursive?: "default" | "disabled" | "forced";
    }
  | {
      readonly kind: "volume" /** "" makes an anonymous volume, removed with the container */;
      readonly name: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly noCopy: boolean;
      readonly subpath: string;
      readonly driver: string;
      readonly driverOptions: Readonly<Record<string, string>>;
      readonly labels: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: "tmpfs";
      readonly target: string;
      readonly sizeBytes: number;
      readonly mode: number;
      readonly options: readonly string[];
    }
  | {
      /** The files of an image, read-only. */
      readonly kind: "image";
      readonly image: string;
      readonly target: string;
      readonly subpath: string;
    };

export interface HealthCheck {
  /** ["NONE"] | ["CMD", …] | ["CMD-SHELL", line]; empty: the image's */
  readonly test: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

export interface RestartPolicy {
  readonly name: "no" | "always" | "unless-stopped" | "on-failure";
  /** For on-failure; 0: without end. */
  readonly maximumRetryCount: number;
}

export interface DeviceRate {
  readonly path: string;
  readonly rate: number;
}

export interface ContainerResources {
  /** 0: unbounded, here and below unless told. */
  readonly memoryBytes: number;
  /** Memory and swap together; -1: unbounded; undefined: twice the memory. */
  readonly swapBytes: number | undefined;
  readonly nanoCpus: number;
  readonly pidsLimit: number;
  readonly memoryReservationBytes?: number;
  /** 0 to 100; undefined: the kernel's. */
  readonly memorySwappiness?: number;
  readonly oomKillDisable?: boolean;
  readonly cpuShares?: number;
  /** µs; with quota an alternative to nanoCpus. */
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpuRealtimePeriod?: number;
  readonly cpuRealtimeRuntime?: number;
  /** "0-2,4" */
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** 10 to 1000. */
  readonly blkioWeight?: number;
  readonly blkioWeightDevices?: readonly { readonly path: string; readonly weight: number }[];
  readonly blkioReadBps?: readonly DeviceRate[];
  readonly blkioWriteBps?: readonly DeviceRate[];
  readonly blkioReadIops?: readonly DeviceRate[];
  readonly blkioWriteIops?: readonly DeviceRate[];
}

export interface DeviceMapping {
  readonly pathOnHost: string;
  readonly pathInContainer: string;
  /** Some of "rwm". */
  readonly permissions: string;
}

/** What of the machine it may see and touch. Absent: Docker's defaults. */
export interface ContainerIsolation {
  readonly privileged?: boolean;
  readonly devices?: readonly DeviceMapping[];
  /** "c 1:3 rwm" */
  readonly deviceCgroupRules?: readonly string[];
  readonly deviceRequests?: readonly {
    readonly driver: string;
    readonly count: number;
    readonly deviceIds: readonly string[];
    readonly capabilities: readonly (readonly string[])[];
    readonly options: Readonly<Record<string, string>>;
  }[];
  /** undefined: Docker's list; empty: none. */
  readonly maskedPaths?: readonly string[] | undefined;
  readonly readonlyPaths?: readonly string[] | undefined;
  /** "" | "private" | "shareable" | "none" | "host" | "container:ID" */
  readonly ipcMode?: string;
  /** "" | "host" | "container:ID" */
  readonly pidMode?: string;
  /** "" | "host" */
  readonly utsMode?: string;
  /** "" (private on v2, host on v1, as Docker) | "private" | "host" */
  readonly cgroupnsMode?: string;
  /** "" | "host" */
  readonly usernsMode?: string;
  /** 0: 64 MiB. */
  readonly shmSizeBytes?: number;
  /** "" : the daemon's. */
  readonly cgroupParent?: string;
  /** "" (none where the kernel has no AppArmor) | "unconfined" | a profile's name */
  readonly apparmorProfile?: string;
  readonly selinuxLabels?: readonly string[];
  readonly storageOptions?: Readonly<Record<string, string>>;
  /** "" : the daemon's default. */
  readonly runtime?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** systempaths=unconfined */
  readonly systemPathsUnconfined?: boolean;
}

/** What to run. Empty means "the image's": command, args, workingDir, user, stopSignal, healthcheck. */
export interface ContainerSpecification {
  /** "" : a name is made up. */
  readonly name: string;
  readonly image: string;
  readonly entrypoint: readonly string[];
  /** The request took the image's entrypoint away: ENTRYPOINT [""] or []. */
  readonly entrypointCleared?: boolean;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly groups: readonly string[];
  readonly hostname: string;
  readonly domainname?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly tty: boolean;
  readonly openStdin: boolean;
  /** Input ends with the first client that was attached to it. */
  readonly stdinOnce?: boolean;
  /** For inspect alone: what the client said that it would attach. */
  readonly attached?: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  readonly readOnly: boolean;
  readonly init: boolean;
  readonly mounts: readonly ContainerMount[];
  /** "NAME[:ro|rw]": all volumes and binds of that container; resolved at create. */
  readonly volumesFrom?: readonly string[];
  /** Secrets and configs. */
  readonly files: readonly FileToPlace[];
  readonly stopSignal: string;
  /** -1: waits for ever. */
  readonly stopGracePeriodMs: number;
  readonly healthcheck: HealthCheck | undefined;
  readonly restartPolicy?: RestartPolicy;
  readonly autoRemove?: boolean;
  readonly resources: ContainerResources;
  readonly isolation?: ContainerIsolation;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly oomScoreAdj: number;
  readonly noNewPrivileges: boolean;
  readonly seccomp:
    | { readonly kind: "default" }
    | { readonly kind: "unconfined" }
    | { readonly kind: "custom"; readonly profile: Uint8Array };
  /**
   * "netns": a sandbox somebody else made (a task's). "networks": local networks by name, as `networking` tells;
   * the container manager has them made at each start and taken away at each end.
   */
  readonly network:
    | { readonly kind: "netns"; readonly path: string }
    | { readonly kind: "host" }
    | { readonly kind: "none" }
    | { readonly kind: "container"; readonly id: string }
    | { readonly kind: "networks" };
  /** For kind networks (and, for inspect, what was asked for with the others). */
  readonly networking?: ContainerNetworking;
  /**
   * Content of /etc/hosts and /etc/resolv.conf; undefined: made from hostname,
   * or the host's own resolver file.
   */
  readonly etcHosts: string | undefined;
  readonly resolvConf: string | undefined;
  readonly log: {
    /** "" (json-file) | json-file | local | none | journald | syslog | fluentd | gelf */
    readonly driver: string;
    readonly maxSizeBytes: number;
    readonly maxFiles: number;
    /** All options as they were asked for, max-size and max-file included. */
    readonly options?: Readonly<Record<string, string>>;
  };
  /** Docker's HostConfig as it was asked for and completed: inspect gives it back. The engine does not read it. */
  readonly hostConfig?: Readonly<Record<string, unknown>>;
  /** What of Docker's Config has no place above (StopTimeout, Volumes, OnBuild …), for inspect alone. */
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface HealthResult {
  readonly startMs: number;
  readonly endMs: number;
  readonly exitCode: number;
  /** 4096 bytes at most. */
  readonly output: string;
}

export interface ContainerRecord {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly imageId: string;
  /** Laid over the image's configuration at create, as Docker's inspect shows it. */
  readonly specification: Omit<ContainerSpecification, "files">;
  readonly createdMs: number;
  readonly state: ContainerState;
  /** 0 when not running. */
  readonly pid: number;
  readonly startedMs: number;
  readonly finishedMs: number;
  /** Meaningful once exited; -1 when it could not be learned. */
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error: string;
  readonly health: "" | "starting" | "healthy" | "unhealthy";
  /** The last five results, oldest first. */
  readonly healthLog?: readonly HealthResult[];
  readonly failingStreak?: number;
  /** Starts by the restart policy. */
  readonly restartCount?: number;
  /** Networks it is on, by name, while it runs; what they gave. */
  readonly endpoints?: Readonly<Record<string, EndpointState>>;
  /** Published ports as bound, while it runs. */
  readonly ports?: readonly PortBinding[];
  readonly sandboxPath?: string;
  /** What of the request this kernel cannot do, and was left out at create. */
  readonly warnings?: readonly string[];
}

export interface ContainerEvent {
  readonly kind:
    | "create"
    | "start"
    | "die"
    | "oom"
    | "destroy"
    | "health"
    | "kill"
    | "stop"
    | "restart"
    | "pause"
    | "unpause"
    | "rename"
    | "update"
    | "attach"
    | "detach"
    | "resize"
    | "exec_create"
    | "exec_start"
    | "exec_die"
    | "exec_detach"
    | "archive-path"
    | "extract-to-dir"
    | "copy"
    | "export"
    | "commit"
    | "top"
    | "health_status";
  readonly container: ContainerRecord;
  readonly timeMs: number;
  /** Besides the container's own: signal, exitCode, execID, oldName, execDuration … */
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface LogRecord {
  readonly stream: "stdout" | "stderr";
  /** RFC 3339 with nanoseconds. */
  readonly timestamp: string;
  /** One line with its newline, or a last piece without. */
  readonly data: Uint8Array;
}

export interface LogReadOptions {
  readonly follow: boolean;
  /** Lines from the end; -1: all. */
  readonly tail: number;
  readonly sinceMs: number;
  readonly untilMs?: number;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly signal?: AbortSignal;
}

/** Changes of limits and restart policy in a living container; absent: stays. */
export interface ContainerUpdate {
  readonly resources?: Partial<ContainerResources>;
  readonly restartPolicy?: RestartPolicy;
  /** Merged into the kept HostConfig, for inspect. */
  readonly hostConfig?: Readonly<Record<string, unknown>>;
}

export type WaitCondition = "not-running" | "next-exit" | "removed";

export interface ContainerManager {
  /**
   * @throws {NotFoundError} no such image; {AlreadyExistsError} name taken; {InvalidArgumentError}.
   */
  create(specification: ContainerSpecification): Promise<ContainerRecord>;
  /**
   * Resolves once the container's process has been started; running already: at once.
   * @throws {InvalidArgumentError} "exec: not found" and the like, with the runtime's words.
   */
  start(id: string): Promise<ContainerRecord>;
  /**
   * Stop signal, then SIGKILL after the grace period. Resolves when it has exited; stopped already: at once.
   * A container stopped so is not restarted by its policy until it is started again.
   */
  stop(id: string, options?: { gracePeriodMs?: number; signal?: string }): Promise<ContainerRecord>;
  restart(id: string, options?: { gracePeriodMs?: number; signal?: string }): Promise<ContainerRecord>;
  /** @throws {FailedPreconditionError} (409) not running. */
  kill(id: string, signal?: string): Promise<void>;
  /** @throws {FailedPreconditionError} (409) not running, paused already. */
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  /** @throws {AlreadyExistsError} name taken. */
  rename(id: string, name: string): Promise<void>;
  /** @returns warnings. */
  update(id: string, change: ContainerUpdate): Promise<readonly string[]>;
  /** @throws {FailedPreconditionError} still running, unless forced. */
  remove(id: string, options?: { force?: boolean; removeVolumes?: boolean }): Promise<void>;
  /** Resolves with the record as it was at the awaited moment. @default condition not-running */
  wait(id: string, options?: { condition?: WaitCondition; signal?: AbortSignal }): Promise<ContainerRecord>;
  /** By id, name, or unique id prefix. */
  find(idOrName: string): ContainerRecord | undefined;
  /** As find. @throws {NotFoundError} "No such container: X"; {InvalidArgumentError} an ambiguous prefix. */
  get(idOrName: string): ContainerRecord;
  list(): readonly ContainerRecord[];
  /**
   * Puts a container on a local network, live when it runs; `networking` of its record is changed.
   * @throws {NotFoundError} {FailedPreconditionError} (403) host or none mode, or it is on it already.
   */
  connectNetwork(
    id: string,
    network: string,
    endpoint: ContainerNetworking["endpoints"][string],
  ): Promise<void>;
  disconnectNetwork(id: string, network: string, options: { force: boolean }): Promise<void>;
  /** Takes a link from the container that has it. @throws {NotFoundError} no such link. */
  removeLink?(id: string, alias: string): Promise<void>;
  logs(id: string, options: LogReadOptions): AsyncIterable<LogRecord>;
  onEvent(listener: (event: ContainerEvent) => void): () => void;
  /** For parts beside the manager (exec, copy, attach) to tell what they did. */
  emit(id: string, kind: ContainerEvent["kind"], attributes?: Readonly<Record<string, string>>): void;
  close(): Promise<void>;
}
