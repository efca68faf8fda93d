/**
 * Images of one node: content-addressed blobs, unpacked layers, names. Pure (interfaces only).
 * Sources: OCI image-spec 1.1, docker-archive layout, distribution-spec 1.1.
 */

export interface ImageConfig {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "80/tcp" and so on. */
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
  readonly stopSignal: string;
  readonly shell: readonly string[];
  readonly healthcheck:
    | {
        readonly test: readonly string[];
        readonly intervalMs: number;
        readonly timeoutMs: number;
        readonly startPeriodMs: number;
        readonly startIntervalMs: number;
        readonly retries: number;
      }
    | undefined;
}

export interface ImageRecord {
  /** sha256:<hex> of the config blob: Docker's image id. */
  readonly id: string;
  /** name:tag, fully qualified (docker.io/library/busybox:latest). */
  readonly repoTags: readonly string[];
  /** name@sha256:… */
  readonly repoDigests: readonly string[];
  readonly createdMs: number;
  readonly sizeBytes: number;
  readonly architecture: string;
  readonly os: string;
  /** Chain ids of the layers, lowest first; each is an unpacked folder. */
  readonly chainIds: readonly string[];
  readonly diffIds: readonly string[];
  readonly config: ImageConfig;
  readonly author: string;
  readonly comment: string;
}

/** One line of progress, in the shape Docker streams it: {status, id?, progressDetail?}. */
export interface ImageProgress {
  readonly status: string;
  readonly id?: string;
  readonly currentBytes?: number;
  readonly totalBytes?: number;
}

export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
  readonly serverAddress?: string;
}

export interface ImageStore {
  /** By id, id prefix (at least 4 hex digits), name[:tag] or name@digest. */
  find(reference: string): ImageRecord | undefined;
  list(): readonly ImageRecord[];
  /**
   * @throws {NotFoundError} unknown name, with the registry's own words;
   * {UnauthenticatedError} {UnavailableError} {DataLossError} a blob whose digest is wrong.
   */
  pull(
    reference: string,
    options?: { auth?: RegistryAuth; signal?: AbortSignal; onProgress?: (progress: ImageProgress) => void },
  ): Promise<ImageRecord>;
  /** Asks the registry for digest, media type, size and platforms without pulling (GET /distribution). */
  describeRemote(
    reference: string,
    options?: { auth?: RegistryAuth; signal?: AbortSignal },
  ): Promise<{
    digest: string;
    mediaType: string;
    sizeBytes: number;
    platforms: readonly { architecture: string; os: string; variant?: string }[];
  }>;
  /** docker-archive or OCI layout tar, plain, gzip or zstd. @returns what was loaded, names first. */
  load(
    tar: AsyncIterable<Uint8Array>,
    options?: { onProgress?: (progress: ImageProgress) => void; signal?: AbortSignal },
  ): Promise<readonly ImageRecord[]>;
  /**
   * A root file system tar becomes a one-layer image. `changes` are Dockerfile lines (CMD, ENV, ENTRYPOINT…).
   */
  importRootfs(
    tar: AsyncIterable<Uint8Array>,
    options: { reference?: string; message?: string; changes?: readonly string[]; signal?: AbortSignal },
  ): Promise<ImageRecord>;
  tag(reference: string, target: string): Promise<void>;
  /**
   * Docker's rmi: untags, and deletes when the last name goes.
   * @throws {AbortedError}(409) in use by a container, unless forced.
   */
  remove(
    reference: string,
    options?: { force?: boolean; usedBy?: (imageId: string) => string | undefined },
  ): Promise<readonly { untagged?: string; deleted?: string }[]>;
  /**
   * Makes a writable root file system of the image for a container: overlayfs mounted at the returned path.
   * Idempotent for a container id; remounts after a reboot.
   */
  mountRootfs(imageId: string, containerId: string): Promise<string>;
  /** Unmounts; keeps the writable layer (a stopped container keeps its files). */
  unmountRootfs(containerId: string): Promise<void>;
  /** Unmounts and deletes the writable layer. Missing is fine. */
  removeRootfs(containerId: string): Promise<void>;
  close(): Promise<void>;
}
