/**
 * The contract of attach and exec: bytes in and out of a living container. Pure (types only).
 */

export interface StreamChunk {
  /** 1 stdout (and all of a terminal), 2 stderr; 3 an error text of the daemon itself. */
  readonly stream: 1 | 2 | 3;
  readonly data: Uint8Array;
}

/** One client's hold on a container's streams. `close` leaves the container alone. */
export interface AttachedStream {
  /** Ends when the process has ended and all was read, or with `close`. */
  readonly output: AsyncIterable<StreamChunk>;
  /** Waits while the container does not read. @returns false once the process takes no more input. */
  write(data: Uint8Array): Promise<boolean>;
  /** End of input; the process sees end of file. */
  endInput(): void;
  close(): void;
}

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** What was written before, from the log. */
  readonly logs: boolean;
  /** What is written from now on. */
  readonly stream: boolean;
  readonly signal?: AbortSignal;
}

/** A log as a client reads it. */
export interface LogTextOptions {
  readonly follow: boolean;
  /** Lines from the end; -1: all. */
  readonly tail: number;
  /** Nanoseconds since 1970; 0: no bound. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Before each line, RFC 3339 with nanoseconds. */
  readonly timestamps: boolean;
  /** Before each line, what the log options labels and env name. */
  readonly details: boolean;
  readonly signal?: AbortSignal;
}

export interface ExecSpecification {
  readonly args: readonly string[];
  /** Over the container's. */
  readonly env: readonly string[];
  readonly workingDir: string;
  /** "" : the container's. */
  readonly user: string;
  readonly tty: boolean;
  readonly privileged: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  /** "" : ctrl-p,ctrl-q. */
  readonly detachKeys: string;
}

export interface ExecRecord {
  readonly id: string;
  readonly containerId: string;
  readonly specification: ExecSpecification;
  readonly running: boolean;
  /** undefined until it has ended. */
  readonly exitCode: number | undefined;
  readonly pid: number;
}

export interface ContainerStreams {
  /**
   * Before its start, too: then output begins with its first byte.
   * @throws {FailedPreconditionError} (409) paused or restarting.
   */
  attach(containerId: string, options: AttachOptions): Promise<AttachedStream>;
  /** Characters. @throws {FailedPreconditionError} (409) not running. */
  resize(containerId: string, size: { rows: number; columns: number }): Promise<void>;
  /** @throws {FailedPreconditionError} (409) not running, or paused. */
  createExec(containerId: string, specification: ExecSpecification): Promise<ExecRecord>;
  /**
   * @returns its streams; undefined when detached.
   * @throws {FailedPreconditionError} (409) started before; {InvalidArgumentError} command not found: the
   * exit code of the exec is then 126 or 127.
   */
  startExec(
    execId: string,
    options: { detach: boolean; tty: boolean; size?: { rows: number; columns: number } },
  ): Promise<AttachedStream | undefined>;
  resizeExec(execId: string, size: { rows: number; columns: number }): Promise<void>;
  /** @throws {NotFoundError} "No such exec instance: X" */
  getExec(execId: string): ExecRecord;
  execsOf(containerId: string): readonly ExecRecord[];
  /**
   * Ready to be sent: plain bytes of a terminal's log, else each line behind its header (stream, three zeros,
   * length). Many lines to a piece.
   * @throws {NotImplementedError} the log driver keeps nothing to read.
   */
  logs(containerId: string, options: LogTextOptions): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}
