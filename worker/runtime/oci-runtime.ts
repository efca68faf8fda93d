/**
 * What the container manager asks of the thing that runs containers. Pure (interface only).
 * Promises: a started container outlives this process; its exit is reported once by `onExit`,
 * also when it happened before `open`.
 */
import type { OciResources, OciSpec } from "./oci-types.js";

/** A process that cannot be mistaken for a later one of the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks after boot; -1: of an earlier boot, so it has ended. */
  readonly startTicks: number;
}

export interface RuntimeExit {
  readonly id: string;
  /** -1: could not be learned (the monitor was killed, or the host restarted). */
  readonly exitCode: number;
  readonly finishedMs: number;
  readonly oomKilled: boolean;
}

export interface RuntimeCreateOptions {
  readonly id: string;
  readonly name: string;
  readonly spec: OciSpec;
  /** undefined: output is not kept. */
  readonly logPath: string | undefined;
  readonly tty: boolean;
  readonly openStdin: boolean;
  /** Input ends when a connection to the monitor ends. @default false: it stays open */
  readonly stdinOnce?: boolean;
  /** @default the one this was opened with, also for runc where that is not installed */
  readonly runtime?: "crun" | "runc";
}

export interface ExecResult {
  /** -1 when it ran out of time. */
  readonly exitCode: number;
  /** First bytes of stdout and stderr together, 4096 at most. */
  readonly output: string;
}

export interface OciRuntime {
  readonly name: "crun" | "runc";
  /** A `create` is likely to come at once: what the kernel must wait for first begins now. Returns at once. */
  expectCreate(): void;
  /**
   * The container exists, its process waits for `start`.
   * @throws {InvalidArgumentError} with the runtime's words.
   */
  create(options: RuntimeCreateOptions): Promise<ProcessIdentity>;
  start(id: string): Promise<void>;
  /** Number of the signal. A process that is gone already is no error. */
  kill(process: ProcessIdentity, signal: number): void;
  /**
   * Runs a command inside, as the container's user and with its environment,
   * and waits `timeoutMs` at most; then it is killed.
   */
  exec(id: string, args: readonly string[], options: { timeoutMs: number }): Promise<ExecResult>;
  /** Stops (or lets go on) every process of a container. @throws {FailedPreconditionError} its group is gone. */
  setFrozen(cgroupPath: string, frozen: boolean): Promise<void>;
  /** False also when the group is gone. */
  isFrozen(cgroupPath: string): Promise<boolean>;
  /** Changes limits of a living container. @throws {FailedPreconditionError} what the kernel refuses. */
  setLimits(cgroupPath: string, resources: OciResources): Promise<void>;
  /** Makes the monitor open its log file anew (after a rename). */
  reopenLog(id: string): Promise<void>;
  /** Runtime state, cgroup and run files go. Missing is fine. */
  delete(id: string): Promise<void>;
  /**
   * Watches a container found again after a restart; its exit is reported even if it has ended already.
   * Finishes a start cut short.
   */
  adopt(id: string, process: ProcessIdentity): Promise<void>;
  /** The container's process if one is left from before, whatever the records say. */
  findLeftover(id: string): Promise<ProcessIdentity | undefined>;
  /** Removes run files of containers that are not in the set: what a killed daemon or a late monitor left. */
  sweep(known: ReadonlySet<string>): Promise<void>;
  onExit(listener: (exit: RuntimeExit) => void): void;
  /** Stops watching; containers go on. */
  close(): Promise<void>;
}
