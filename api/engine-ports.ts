/**
 * Images and containers as the HTTP surface needs them. Pure (interfaces only).
 * worker/images/image-store.ts and worker/containers/container-manager.ts satisfy them structurally;
 * only what is used stands here.
 */
import type { ContainerManager } from "../proto/engine/containers.js";
import type { ImageEvent } from "../proto/engine/images.js";
import type { VolumeStore } from "../proto/engine/volumes.js";
import type { MountedVolume } from "./convert/container-mounts-out.js";

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
  onEvent?(listener: (event: ImageEvent) => void): () => void;
}

/** A network a container is on. */
export interface EngineContainerNetwork {
  readonly networkId: string;
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
}

export interface ContainerBackend extends ContainerManager {
  /** The volumes containers use. */
  readonly volumes: VolumeStore;
  volumesOf(id: string): readonly MountedVolume[];
}
