/**
 * Containers of one node, tasks and plain ones alike. Pure (interfaces only).
 * Promises: a container outlives the daemon; after a restart `open` finds it again with its true state;
 * an exit is reported once with its code, also when it happened while the daemon was down.
 */

export type ContainerState = "created" | "running" | "exited" | "dead";

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
    };

export interface HealthCheck {
  /** ["NONE"] | ["CMD", …] | ["CMD-SHELL", line] */
  readonly test: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

/** What to run. Empty means "the image's": command, args, workingDir, user, stopSignal, healthcheck. */
export interface ContainerSpecification {
  readonly name: string;
  readonly image: string;
  readonly entrypoint: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly groups: readonly string[];
  readonly hostname: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly tty: boolean;
  readonly openStdin: boolean;
  readonly readOnly: boolean;
  readonly init: boolean;
  readonly mounts: readonly ContainerMount[];
  /** Secrets and configs. */
  readonly files: readonly FileToPlace[];
  readonly stopSignal: string;
  readonly stopGracePeriodMs: number;
  readonly healthcheck: HealthCheck | undefined;
  readonly resources: {
    readonly memoryBytes: number;
    readonly swapBytes: number | undefined;
    readonly nanoCpus: number;
    readonly pidsLimit: number;
  };
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
  readonly network:
    | { readonly kind: "netns"; readonly path: string }
    | { readonly kind: "host" }
    | { readonly kind: "none" };
  /**
   * Content of /etc/hosts and /etc/resolv.conf; undefined: made from hostname,
   * or the host's own resolver file.
   */
  readonly etcHosts: string | undefined;
  readonly resolvConf: string | undefined;
  readonly log: { readonly driver: string; readonly maxSizeBytes: number; readonly maxFiles: number };
}

export interface ContainerRecord {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly imageId: string;
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
}

export interface ContainerEvent {
  readonly kind: "create" | "start" | "die" | "oom" | "destroy" | "health" | "kill" | "stop";
  readonly container: ContainerRecord;
  readonly timeMs: number;
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

export interface ContainerManager {
  /** @throws {NotFoundError} no such image; {AlreadyExistsError} name taken; {InvalidArgumentError}. */
  create(specification: ContainerSpecification): Promise<ContainerRecord>;
  /**
   * Resolves once the container's process has been started.
   * @throws {InvalidArgumentError} "exec: not found" and the like, with the runtime's words.
   */
  start(id: string): Promise<ContainerRecord>;
  /**
   * Stop signal, then SIGKILL after the grace period. Resolves when it has exited; stopped already: at once.
   */
  stop(id: string, options?: { gracePeriodMs?: number; signal?: string }): Promise<ContainerRecord>;
  kill(id: string, signal?: string): Promise<void>;
  /** @throws {FailedPreconditionError} still running, unless forced. */
  remove(id: string, options?: { force?: boolean; removeVolumes?: boolean }): Promise<void>;
  /** Resolves when the container has exited. */
  wait(id: string, options?: { signal?: AbortSignal }): Promise<ContainerRecord>;
  /** By id, unique id prefix, or name. */
  find(idOrName: string): ContainerRecord | undefined;
  list(): readonly ContainerRecord[];
  logs(id: string, options: LogReadOptions): AsyncIterable<LogRecord>;
  onEvent(listener: (event: ContainerEvent) => void): () => void;
  close(): Promise<void>;
}
