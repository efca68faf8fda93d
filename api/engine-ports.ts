/**
 * Images and containers as the HTTP surface needs them. Pure (interfaces only).
 * worker/images/image-store.ts and worker/containers/container-manager.ts satisfy them structurally;
 * only what is used stands here.
 */
import type { ContainerState } from "../proto/engine/containers.js";

export interface EngineImage {
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly createdMs: number;
  readonly sizeBytes: number;
  readonly architecture: string;
  readonly os: string;
  readonly diffIds: readonly string[];
  readonly author: string;
  readonly comment: string;
  readonly config: {
    readonly user: string;
    readonly env: readonly string[];
    readonly entrypoint: readonly string[];
    readonly cmd: readonly string[];
    readonly workingDir: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly exposedPorts: readonly string[];
    readonly volumes: readonly string[];
    readonly stopSignal: string;
  };
}

export interface EngineProgress {
  readonly status: string;
  readonly id?: string;
  readonly currentBytes?: number;
  readonly totalBytes?: number;
}

export interface EngineAuth {
  readonly username?: string;
  readonly password?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
  readonly serverAddress?: string;
}

interface Watched {
  readonly onProgress?: (progress: EngineProgress) => void;
  readonly signal?: AbortSignal;
}

export interface ImageBackend {
  find(reference: string): EngineImage | undefined;
  list(): readonly EngineImage[];
  pull(reference: string, options?: Watched & { auth?: EngineAuth }): Promise<EngineImage>;
  describeRemote(
    reference: string,
    options?: { auth?: EngineAuth; signal?: AbortSignal },
  ): Promise<{
    digest: string;
    mediaType: string;
    sizeBytes: number;
    platforms: readonly { architecture: string; os: string; variant?: string }[];
  }>;
  load(tar: AsyncIterable<Uint8Array>, options?: Watched): Promise<readonly EngineImage[]>;
  importRootfs(
    tar: AsyncIterable<Uint8Array>,
    options: { reference?: string; message?: string; changes?: readonly string[]; signal?: AbortSignal },
  ): Promise<EngineImage>;
  tag(reference: string, target: string): Promise<void>;
  remove(
    reference: string,
    options?: { force?: boolean; usedBy?: (imageId: string) => string | undefined },
  ): Promise<readonly { untagged?: string; deleted?: string }[]>;
}

export interface EngineContainer {
  readonly id: string;
  readonly name: string;
  readonly imageId: string;
  readonly createdMs: number;
  readonly state: ContainerState;
  readonly pid: number;
  readonly startedMs: number;
  readonly finishedMs: number;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error: string;
  readonly health: "" | "starting" | "healthy" | "unhealthy";
  readonly specification: {
    readonly image: string;
    readonly entrypoint: readonly string[];
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly workingDir: string;
    readonly user: string;
    readonly hostname: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly tty: boolean;
    readonly openStdin: boolean;
    readonly readOnly: boolean;
    readonly init: boolean;
    readonly mounts: readonly EngineMount[];
    readonly resources: {
      readonly memoryBytes: number;
      /** Memory and swap together; below 0: unbounded. */
      readonly swapBytes: number | undefined;
      readonly nanoCpus: number;
      /** 0: unbounded. */
      readonly pidsLimit: number;
    };
    readonly capAdd: readonly string[];
    readonly capDrop: readonly string[];
    readonly sysctls: Readonly<Record<string, string>>;
    readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
    readonly oomScoreAdj: number;
    readonly network: { readonly kind: "netns" | "host" | "none" | "container" | "networks" };
  };
}

/** Volumes stand in `volumesOf`, where those have a name that have none here. */
export type EngineMount =
  | {
      readonly kind: "bind";
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly propagation: string;
    }
  | { readonly kind: "volume" }
  | { readonly kind: "image"; readonly image: string; readonly target: string }
  | { readonly kind: "tmpfs"; readonly target: string; readonly options: readonly string[] };

export interface EngineMountedVolume {
  readonly target: string;
  readonly name: string;
  readonly readOnly: boolean;
}

/** A network a container is on. */
export interface EngineContainerNetwork {
  readonly networkId: string;
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
}

export interface EngineContainerEvent {
  readonly kind: string;
  readonly container: EngineContainer;
  readonly timeMs: number;
}

export interface EngineLogRecord {
  readonly stream: "stdout" | "stderr";
  readonly timestamp: string;
  readonly data: Uint8Array;
}

export interface EngineVolume {
  readonly name: string;
  readonly driver: string;
  readonly mountpoint: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdMs: number;
}

export interface VolumeBackend {
  find(name: string): EngineVolume | undefined;
  list(): readonly EngineVolume[];
}

export interface ContainerBackend {
  /** The volumes containers use. */
  readonly volumes: VolumeBackend;
  find(idOrName: string): EngineContainer | undefined;
  list(): readonly EngineContainer[];
  volumesOf(id: string): readonly EngineMountedVolume[];
  logs(
    id: string,
    options: {
      follow: boolean;
      tail: number;
      sinceMs: number;
      untilMs?: number;
      stdout: boolean;
      stderr: boolean;
      signal?: AbortSignal;
    },
  ): AsyncIterable<EngineLogRecord>;
  onEvent(listener: (event: EngineContainerEvent) => void): () => void;
}
