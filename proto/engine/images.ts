/**
 * The contract of a node's images: content-addressed blobs, unpacked layers, names. Pure (types only).
 * Sources: OCI image-spec 1.1, docker-archive layout, distribution-spec 1.1, Docker Engine API 1.24 to 1.51.
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
  readonly variant?: string;
  /** The image it was built or committed from; "" when it came from elsewhere. */
  readonly parentId?: string;
  /** When its last name was given. */
  readonly lastTaggedMs?: number;
  /** Exposed to builders: lines waiting for a child build. */
  readonly onBuild?: readonly string[];
}

/** One line of progress, in the shape Docker streams it: {status, id?, progressDetail?}. */
export interface ImageProgress {
  readonly status: string;
  readonly id?: string;
  readonly currentBytes?: number;
  readonly totalBytes?: number;
  /** The last line of a push: what came to the registry. */
  readonly aux?: { readonly tag: string; readonly digest: string; readonly sizeBytes: number };
}

export interface ImagePlatform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** One line of `docker history`, oldest first. */
export interface ImageHistoryEntry {
  readonly createdMs: number;
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  readonly emptyLayer: boolean;
}

/**
 * The image's configuration blob, as it is: OCI image config (architecture, os, config, rootfs, history).
 * Keys of `config` are Docker's: Env, Cmd, Entrypoint, OnBuild, Healthcheck, Shell, StopSignal …
 */
export type ImageDocument = Readonly<Record<string, unknown>>;

/** A new image made of another one, or of nothing ("scratch": parent undefined). */
export interface CommitOptions {
  readonly parentImageId: string | undefined;
  /**
   * Container (or build step) whose writable layer becomes the new top layer; undefined: only the
   * configuration changes (an empty layer in the history). The root stays usable and unchanged.
   */
  readonly rootfsId: string | undefined;
  /** The whole `config` object of the new image, in Docker's keys. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly createdBy: string;
  readonly comment: string;
  readonly author: string;
  readonly platform?: ImagePlatform;
  /** Names for the new image: name[:tag]. */
  readonly names: readonly string[];
  readonly signal?: AbortSignal;
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
    options?: {
      auth?: RegistryAuth;
      platform?: ImagePlatform;
      signal?: AbortSignal;
      onProgress?: (progress: ImageProgress) => void;
    },
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
    options: {
      reference?: string;
      message?: string;
      changes?: readonly string[];
      platform?: ImagePlatform;
      signal?: AbortSignal;
    },
  ): Promise<ImageRecord>;
  tag(reference: string, target: string): Promise<void>;
  /**
   * Docker's rmi: untags, and deletes when the last name goes.
   * @param options usedBy, runningOn: a container of the image; one that runs cannot be forced away.
   * @throws {AbortedError}(409) in use by a container, unless forced; what other images were made of.
   */
  remove(
    reference: string,
    options?: {
      force?: boolean;
      /** Nameless images it was made of stay. */
      noPrune?: boolean;
      usedBy?: (imageId: string) => string | undefined;
      runningOn?: (imageId: string) => string | undefined;
    },
  ): Promise<readonly { untagged?: string; deleted?: string }[]>;
  /**
   * Makes a writable root file system of the image ("": of no image) for a container: overlayfs mounted at
   * the returned path.
   * Idempotent for a container id; remounts after a reboot.
   */
  mountRootfs(imageId: string, containerId: string): Promise<string>;
  /**
   * For a container that is made and may be started later: the image's layers stay until `removeRootfs`, also
   * when the image is removed by force. An image that is not there is passed over.
   */
  holdRootfs?(imageId: string, containerId: string): void;
  /** Unmounts; keeps the writable layer (a stopped container keeps its files). */
  unmountRootfs(containerId: string): Promise<void>;
  /** Unmounts and deletes the writable layer. Missing is fine. */
  removeRootfs(containerId: string): Promise<void>;
  /**
   * The folders a container's root is made of, in overlayfs form: its own, and the image's, topmost first.
   * undefined while the container has no root yet.
   */
  rootfsLayers?(
    containerId: string,
  ): { readonly upper: string; readonly lowers: readonly string[] } | undefined;
  close(): Promise<void>;
}

/** What else the engine does with images (push, save, commit, history), beside what tasks need. */
export interface ImageWorkshop extends ImageStore {
  /** Every tag of the name when it has none. @throws as pull. */
  push(
    reference: string,
    options: {
      allTags: boolean;
      auth?: RegistryAuth;
      signal?: AbortSignal;
      onProgress?: (progress: ImageProgress) => void;
    },
  ): Promise<void>;
  /** A docker-archive that is an OCI layout, too (manifest.json and index.json), made while it is read. */
  save(
    references: readonly string[],
    options: { signal?: AbortSignal; platform?: ImagePlatform },
  ): Promise<AsyncIterable<Uint8Array>>;
  /** @throws {NotFoundError} */
  document(imageId: string): Promise<ImageDocument>;
  history(imageId: string): Promise<readonly (ImageHistoryEntry & { readonly sizeBytes: number })[]>;
  commit(options: CommitOptions): Promise<ImageRecord>;
  /** Image ids built on this one. */
  childrenOf(imageId: string): readonly string[];
  /** Bytes of layers that other images have, too. */
  sharedBytes(imageId: string): number;
  /** Bytes on the disk of all layers, each once. */
  layersBytes(): number;
  /** Registry credentials. @returns the identity token, or "". @throws {UnauthenticatedError} */
  authenticate(auth: RegistryAuth, options?: { signal?: AbortSignal }): Promise<string>;
  search(
    term: string,
    options: { limit: number; auth?: RegistryAuth; signal?: AbortSignal },
  ): Promise<
    readonly {
      readonly name: string;
      readonly description: string;
      readonly stars: number;
      readonly official: boolean;
    }[]
  >;
  onEvent(listener: (event: ImageEvent) => void): () => void;
  /** The tags a repository of a registry has, for a pull of them all. @throws as pull. */
  listRemoteTags(
    reference: string,
    options?: { auth?: RegistryAuth; signal?: AbortSignal },
  ): Promise<readonly string[]>;
  /** Counts for what begins from now on; what is under way goes on as it began. */
  setRegistryOptions(options: RegistryOptions): void;
  /** Folders of the image's layers, lowest first, for GraphDriver of an inspection. */
  layerPaths(imageId: string): readonly string[];
}

export interface RegistryOptions {
  /** Of docker.io, as URLs; tried in order before it. */
  readonly mirrors: readonly string[];
  /** Hosts, host:port or CIDR ranges with private addresses that may be spoken to without TLS. */
  readonly insecureRegistries: readonly string[];
  /** Layers downloaded at a time on the node. @default 3 */
  readonly downloadsMax?: number;
  /** Layers uploaded at a time by one push. @default 5 */
  readonly uploadsMax?: number;
}

export interface ImageEvent {
  readonly kind:
    | "pull"
    | "push"
    | "tag"
    | "untag"
    | "delete"
    | "load"
    | "save"
    | "import"
    | "commit"
    | "prune";
  /** As asked for. */
  readonly reference: string;
  readonly imageId: string;
  /** Of the image, as long as it is there. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly timeMs: number;
}
