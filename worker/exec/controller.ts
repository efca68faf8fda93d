/**
 * The life cycle of one task on its node, and what runs such life cycles. Pure (interfaces only).
 * Each call is idempotent and may be repeated after a restart of the daemon;
 * `prepare` on a task whose container exists adopts it.
 */
import type { Config, Secret, Task } from "../../proto/gen/skein/v1/objects.js";
import type {
  ContainerStatus,
  NodeDescription,
  PhaseMark,
  PortConfig,
} from "../../proto/gen/skein/v1/types.js";
import type { LogReadOptions, LogRecord } from "../containers/container-manager.js";

/** A failure that must not be retried on this node: REJECTED when before RUNNING. */
export interface TaskFailure {
  /**
   * Machine-readable, e.g. image-not-found, port-in-use, mount-missing, exit-nonzero, oom,
   * unhealthy, runtime-error.
   */
  readonly cause: string;
  readonly message: string;
}

export interface Controller {
  /**
   * Image, sandbox, container.
   * @throws SkeinError; the task machine turns it into REJECTED with the words.
   */
  prepare(options: { signal: AbortSignal }): Promise<void>;
  /** Starts the container; with a health check, resolves when it is healthy. */
  start(options: { signal: AbortSignal }): Promise<void>;
  /** Resolves when the container exits by itself; undefined: code 0. */
  wait(options: { signal: AbortSignal }): Promise<TaskFailure | undefined>;
  /** Graceful stop. */
  shutdown(options: { signal: AbortSignal }): Promise<void>;
  terminate(options: { signal: AbortSignal }): Promise<void>;
  /** Container, sandbox and secrets go. */
  remove(options: { signal: AbortSignal }): Promise<void>;
  status(): ContainerStatus | undefined;
  hostPorts(): readonly PortConfig[];
  health(): string;
  gatewayAddress(): string;
  /** Stations that it has seen the task reach within a step: the image is here, the process runs. */
  stations?(): readonly PhaseMark[];
  logs(options: LogReadOptions): AsyncIterable<LogRecord>;
}

/** Both take a `dataKey`. */
export interface TaskDependencies {
  secret(id: string): Secret | undefined;
  config(id: string): Config | undefined;
  /**
   * Resolves when no secret of the task waits for its driver's answer. Absent: none ever does.
   * @throws {TaskFailureError} secret-missing: no answer within a bounded time.
   */
  settled?(task: Task, options: { signal: AbortSignal }): Promise<void>;
}

export interface Executor {
  describe(): Promise<NodeDescription>;
  controller(task: Task, dependencies: TaskDependencies): Controller;
  /** Containers of tasks that are not in the set (left from before) are stopped and removed. */
  retain(taskIds: ReadonlySet<string>): Promise<void>;
}
