/**
 * What the HTTP surface needs of the daemon that hosts it. Pure (interfaces only). The consumer owns the
 * port; node/ hands in the real ones.
 */
import type { Channel, ChannelCredentials } from "@grpc/grpc-js";
import type { Clock } from "../base/clock/clock.js";
import type { Logger } from "../base/log/logger.js";
import type { Random } from "../base/random/random.js";
import type { ImageBuilder } from "../proto/engine/build.js";
import type { ContainerManager } from "../proto/engine/containers.js";
import type { ContainerFileAccess } from "../proto/engine/files.js";
import type { ImageWorkshop } from "../proto/engine/images.js";
import type { LocalNetworks, PortBinding } from "../proto/engine/networks.js";
import type { EngineSettings } from "../proto/engine/settings.js";
import type { ContainerStreams } from "../proto/engine/streams.js";
import type { ClusterSpec, GenericResource, NodeAvailability } from "../proto/gen/skein/v1/types.js";
import type { AuditCounts } from "./convert/audit-metrics-text.js";
import type { ContainerBackend, EngineContainerNetwork, ImageBackend, KnownCluster } from "./engine-ports.js";
import type { NodeNetworkReport } from "./net/node-network-report.js";

export type LocalNodeState = "inactive" | "pending" | "active" | "error" | "locked";

export interface SwarmInfo {
  readonly nodeId: string;
  readonly nodeAddr: string;
  readonly state: LocalNodeState;
  readonly controlAvailable: boolean;
  readonly error: string;
  readonly remoteManagers: readonly { readonly nodeId: string; readonly addr: string }[];
}

export interface SwarmInitRequest {
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
  /** 0: 4789. */
  readonly dataPathPort: number;
  /** Empty: 10.0.0.0/8. */
  readonly defaultAddrPool: readonly string[];
  /** 0: 24. */
  readonly subnetSize: number;
  readonly forceNewCluster: boolean;
  readonly availability: NodeAvailability;
  readonly autoLockManagers: boolean;
  readonly spec: ClusterSpec | undefined;
}

export interface SwarmJoinRequest {
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
  readonly remoteAddrs: readonly string[];
  readonly joinToken: string;
  readonly availability: NodeAvailability;
  /** Of the new node. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface SwarmRestoreRequest {
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
  readonly availability: NodeAvailability;
  /** Passphrase or recovery key. */
  readonly secret: string;
  /** The backup's bytes; read no further than they are good. */
  readonly file: AsyncIterable<Uint8Array>;
  /** Called first when the key fits, then now and then. */
  readonly onProgress: (progress: SwarmRestoreProgress) => void;
}

export interface SwarmRestoreProgress {
  /** Of the file. */
  readonly bytes: number;
  readonly objects: number;
  readonly objectsEstimate: number;
}

/** What was restored, and what became of the managers of before. */
export interface SwarmRestoreAccount {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly objects: number;
  /** The store's index from now on. */
  readonly index: number;
  readonly autolock: boolean;
  readonly backup: {
    readonly index: number;
    readonly term: number;
    readonly createdAtMs: number;
    readonly skeinVersion: string;
  };
  readonly formerManagers: readonly {
    readonly nodeId: string;
    readonly hostname: string;
    readonly address: string;
  }[];
}

/** The account of a new cluster forced from one survivor. */
export interface SwarmRecovery {
  readonly atMs: number;
  /** The survivor. */
  readonly nodeId: string;
  /** host:port at which it is reached since. */
  readonly address: string;
  /** End of the survivor's log as it was found. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** What the survivor knew to be committed. */
  readonly commitIndex: number;
  /** Managers it goes on without; a hostname is "" when their node was not known. */
  readonly dropped: readonly {
    readonly nodeId: string;
    readonly hostname: string;
    readonly address: string;
  }[];
  /** What may be missing, and what to do: one sentence or two each. */
  readonly missing: readonly string[];
}

export interface SwarmBackend {
  info(): SwarmInfo;
  /** Of the newest forced new cluster this node survived; undefined when there was none. */
  recovery(): SwarmRecovery | undefined;
  /**
   * @returns the node id.
   * @throws {FailedPreconditionError} already part of a swarm (HTTP 503, Docker's words).
   */
  init(request: SwarmInitRequest): Promise<string>;
  join(request: SwarmJoinRequest): Promise<void>;
  leave(options: { force: boolean }): Promise<void>;
  /**
   * Founds a one-manager swarm from a backup. A refusal leaves nothing behind.
   * @throws {UnavailableError} already part of a swarm.
   * {InvalidArgumentError} the key, the file or an address.
   */
  restore(request: SwarmRestoreRequest): Promise<SwarmRestoreAccount>;
  unlock(key: string): Promise<void>;
}

/** Where the local manager listens, for gRPC clients of Control and Logs. */
export interface ManagerEndpoint {
  readonly address: string;
  readonly credentials: ChannelCredentials;
  readonly channel: Channel;
}

export interface NodeFacts {
  /** A stable id of the engine, also outside a swarm. */
  readonly engineId: string;
  readonly hostname: string;
  readonly dataDir: string;
  readonly version: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly architecture: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cgroupVersion: "1" | "2";
  readonly runtime: string;
  /** All that are installed. */
  readonly runtimes: readonly string[];
  readonly labels: readonly string[];
  readonly genericResources: readonly GenericResource[];
  /** CDI names of devices, as found at the start. */
  readonly devices: readonly string[];
}

export interface EngineBackend {
  readonly facts: NodeFacts;
  /** As they are now. */
  settings(): EngineSettings;
  onSettingsChange(listener: (settings: EngineSettings) => void): () => void;
  readonly swarm: SwarmBackend;
  /** False: answers of the cluster are 503 in Docker's words. True also while its manager starts. */
  isManager(): boolean;
  /** undefined while no manager serves here: this node is none, or its manager starts. */
  manager(): ManagerEndpoint | undefined;
  /**
   * The endpoint once calls get through to it. Waits for a manager that starts, at most so many milliseconds.
   * @default 10000
   */
  managerReached(waitMs?: number): Promise<ManagerEndpoint | undefined>;
  /** Calls back when one of these has changed. @returns the way to stop it. */
  onManagerChange(listener: () => void): () => void;
  readonly images: ImageBackend;
  readonly containers: ContainerBackend;
  /** Attach and exec; absent: not served. */
  readonly streaming?: {
    readonly containers: Pick<ContainerManager, "get" | "emit">;
    readonly streams: ContainerStreams;
  };
  /** Sizes of containers on the disk, and what else is in them. */
  readonly files?: ContainerFileAccess;
  /** Builds and commits; absent: not served. */
  readonly building?: {
    readonly builder: ImageBuilder;
    readonly images: Pick<ImageWorkshop, "commit" | "document">;
    readonly containers: Pick<ContainerManager, "get" | "pause" | "unpause" | "emit">;
  };
  /** Bridge, host, none and those people make. */
  readonly localNetworks?: LocalNetworks;
  /** What the cluster has told this node; undefined: it is in no swarm. @default nothing */
  known?(): KnownCluster | undefined;
  /** The networks a task of this node is on. */
  networksOfTask(taskId: string): readonly EngineContainerNetwork[];
  /** Its host-mode ports. @default none */
  portsOfTask?(taskId: string): readonly PortBinding[];
  /** This node's part of the cluster's network, compared with the kernel now. @default it has none */
  inspectNetwork?(): Promise<NodeNetworkReport | undefined>;
  /** What its audits found until now. @default it has none */
  networkAudits?(): AuditCounts | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}
