/**
 * The contract of image builds. Pure (types only).
 * Source: Docker Engine API, POST /build with builder version 1.
 */
import type { RegistryAuth } from "./images.js";

export interface BuildRequest {
  /** The context, a tar (plain, gzip, bzip2 or xz); or a Dockerfile alone with `remote`. */
  readonly context: AsyncIterable<Uint8Array>;
  /** Path in the context. @default Dockerfile */
  readonly dockerfile: string;
  /** URL of a Dockerfile, a tar or a git repository; "" : the context is sent. */
  readonly remote: string;
  readonly tags: readonly string[];
  readonly buildArgs: Readonly<Record<string, string | undefined>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly target: string;
  readonly platform: string;
  readonly noCache: boolean;
  readonly cacheFrom: readonly string[];
  readonly pull: boolean;
  /** Intermediate containers: removed after success (rm), or always (forceRm). */
  readonly remove: boolean;
  readonly forceRemove: boolean;
  readonly quiet: boolean;
  readonly squash: boolean;
  readonly networkMode: string;
  readonly extraHosts: readonly string[];
  readonly resources: {
    readonly memoryBytes: number;
    readonly swapBytes: number | undefined;
    readonly cpuShares: number;
    readonly cpuPeriod: number;
    readonly cpuQuota: number;
    readonly cpusetCpus: string;
    readonly cpusetMems: string;
    readonly cgroupParent: string;
    readonly shmSizeBytes: number;
    readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  };
  /** By registry host. */
  readonly auths: Readonly<Record<string, RegistryAuth>>;
  readonly signal?: AbortSignal;
}

export type BuildMessage =
  | { readonly kind: "stream"; readonly text: string }
  | {
      readonly kind: "progress";
      readonly status: string;
      readonly id?: string;
      readonly currentBytes?: number;
      readonly totalBytes?: number;
    }
  | { readonly kind: "built"; readonly imageId: string };

export interface ImageBuilder {
  /**
   * Yields Docker's lines ("Step 1/3 : FROM busybox" …). Cancelling by the signal leaves nothing behind.
   * @throws {InvalidArgumentError} the Dockerfile, with its line; {FailedPreconditionError} a command that
   * failed, with its exit code.
   */
  build(request: BuildRequest): AsyncIterable<BuildMessage>;
  /** Records of cached steps. */
  cacheUsage(): readonly {
    readonly id: string;
    readonly parentId: string;
    readonly description: string;
    readonly sizeBytes: number;
    readonly createdMs: number;
    readonly lastUsedMs: number;
    readonly usageCount: number;
    readonly inUse: boolean;
    readonly shared: boolean;
  }[];
  pruneCache(options: {
    all: boolean;
    keepBytes: number;
    untilMs: number | undefined;
    ids: readonly string[];
  }): Promise<{ readonly deleted: readonly string[]; readonly reclaimedBytes: number }>;
  /**
   * Dockerfile lines (CMD, ENV, LABEL …) on an image's configuration, in Docker's keys: `commit --change`.
   * @throws {InvalidArgumentError}
   */
  applyChanges?(
    config: Readonly<Record<string, unknown>>,
    changes: readonly string[],
  ): Promise<Readonly<Record<string, unknown>>>;
  close(): Promise<void>;
}
