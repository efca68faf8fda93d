/**
 * The contract of looking into a container: its files, changes, processes and counters. Pure (types only).
 */

export interface PathStat {
  readonly name: string;
  readonly sizeBytes: number;
  /** Go's os.FileMode: type bits high, permissions low. */
  readonly goMode: number;
  readonly modifiedMs: number;
  readonly linkTarget: string;
}

export interface FileChange {
  readonly path: string;
  /** 0 modified, 1 added, 2 deleted. */
  readonly kind: 0 | 1 | 2;
}

export interface ContainerFileAccess {
  /** Links are followed inside the container's root only. @throws {NotFoundError} */
  stat(containerId: string, path: string): Promise<PathStat>;
  /** The path as a tar, its last name at the top. */
  read(
    containerId: string,
    path: string,
    options: { signal?: AbortSignal },
  ): Promise<{ readonly stat: PathStat; readonly tar: AsyncIterable<Uint8Array> }>;
  /**
   * Unpacks a tar (plain, gzip, bzip2 or xz) into a folder.
   * @throws {InvalidArgumentError} no folder, or a folder would be replaced by a file (or the other way)
   * with noOverwriteDirNonDir; {PermissionDeniedError} (403) the root or the volume is read-only.
   */
  write(
    containerId: string,
    path: string,
    tar: AsyncIterable<Uint8Array>,
    options: { noOverwriteDirNonDir: boolean; copyUidGid: boolean; signal?: AbortSignal },
  ): Promise<void>;
  changes(containerId: string): Promise<readonly FileChange[]>;
  /** The whole root file system as a tar. */
  exportRootfs(containerId: string, options: { signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Bytes: the writable layer, and all of it together with the image. */
  size(containerId: string): Promise<{ readonly writableBytes: number; readonly rootfsBytes: number }>;
  /** `ps` of the container's processes. @throws {FailedPreconditionError} (409) not running */
  top(
    containerId: string,
    psArguments: string,
  ): Promise<{ readonly titles: readonly string[]; readonly processes: readonly (readonly string[])[] }>;
  /** Docker's StatsResponse without the fields before the read (precpu): one sample. */
  sample(containerId: string): Promise<ContainerSample>;
}

export interface ContainerSample {
  readonly readMs: number;
  readonly cgroupVersion: "1" | "2";
  readonly pids: { readonly current: number; readonly limit: number };
  readonly cpu: {
    readonly totalNs: number;
    readonly userNs: number;
    readonly kernelNs: number;
    /** Per CPU, cgroup v1 only. */
    readonly perCpuNs: readonly number[];
    /** All the host's CPUs, since boot. */
    readonly systemNs: number;
    readonly onlineCpus: number;
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledNs: number;
  };
  readonly memory: {
    readonly usageBytes: number;
    readonly maxUsageBytes: number;
    readonly limitBytes: number;
    readonly failures: number;
    /** memory.stat as it is. */
    readonly stats: Readonly<Record<string, number>>;
  };
  readonly blkio: Readonly<
    Record<
      string,
      readonly {
        readonly major: number;
        readonly minor: number;
        readonly op: string;
        readonly value: number;
      }[]
    >
  >;
  /** By interface name. */
  readonly networks: Readonly<
    Record<
      string,
      {
        readonly rxBytes: number;
        readonly rxPackets: number;
        readonly rxErrors: number;
        readonly rxDropped: number;
        readonly txBytes: number;
        readonly txPackets: number;
        readonly txErrors: number;
        readonly txDropped: number;
      }
    >
  >;
}
