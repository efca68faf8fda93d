/**
 * Images and containers as the HTTP surface needs them. Pure (interfaces only).
 * worker/images/image-store.ts and worker/containers/container-manager.ts satisfy them structurally;
 * only what is used stands here.
 */
import type { ContainerManager } from "../proto/engine/containers.js";
import type { ImageRecord, ImageWorkshop } from "../proto/engine/images.js";
import type { VolumeStore } from "../proto/engine/volumes.js";
import type { MountedVolume } from "./convert/container-mounts-out.js";
import type { HostPaths } from "./convert/container-out.js";

export type EngineImage = ImageRecord;
export interface ImageBackend extends ImageWorkshop {
  /** Folders of a container's root, the layers topmost first; undefined before it was first needed. */
  rootfsLayers?(
    containerId: string,
  ): { readonly upper: string; readonly lowers: readonly string[] } | undefined;
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
  /** Files of a container on the host; absent: there is no such file now. */
  hostPathsOf?(id: string): HostPaths;
}
