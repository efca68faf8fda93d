/**
 * Images and containers as the HTTP surface needs them. Pure (interfaces only).
 * worker/images/image-store.ts and worker/containers/container-manager.ts satisfy them structurally;
 * only what is used stands here.
 */
import type { ContainerManager } from "../proto/engine/containers.js";
import type { ImageRecord, ImageWorkshop } from "../proto/engine/images.js";
import type { VolumeStore } from "../proto/engine/volumes.js";
import type { Network } from "../proto/gen/skein/v1/objects.js";
import type { MountedVolume } from "./convert/container-mounts-out.js";
import type { HostPaths } from "./convert/container-out.js";
import type { NetworkService } from "./convert/network-use-out.js";

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
  /** CIDR; absent: it has none. */
  readonly ipv6Address?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
}

/** The cluster as this node was told of it. */
export interface KnownCluster {
  /** Networks this node takes part in, and those it may come to. */
  networks(): readonly Network[];
  /** Ids of those it takes part in that somebody is on. */
  used(): ReadonlySet<string>;
  /** Of a network this node takes part in: the nodes with a task on it. */
  peers(networkId: string): readonly { readonly nodeId: string; readonly address: string }[];
  /** Likewise: the services on it. */
  services(networkId: string): readonly NetworkService[];
}

export interface ContainerBackend extends ContainerManager {
  /** The volumes containers use. */
  readonly volumes: VolumeStore;
  volumesOf(id: string): readonly MountedVolume[];
  /** Files of a container on the host; absent: there is no such file now. */
  hostPathsOf?(id: string): HostPaths;
}
