/**
 * The network of one node as the agent sees it: resources of the store in, sandboxes for tasks out.
 * Pure (interfaces only). Promises: what is applied is a function of the resources alone;
 * applying again repairs; after a restart of the daemon running tasks keep their sandboxes,
 * addresses and connections.
 */

import type { PortBinding } from "../proto/engine/networks.js";
import type { NodeResource, ResourceKey } from "../proto/gen/skein/v1/dispatcher.js";
import type { Task } from "../proto/gen/skein/v1/objects.js";
import type { PortConfig } from "../proto/gen/skein/v1/types.js";
import type { AuditReport, NetworkInspection } from "./audit/audit-report.js";
import type { ContainerPlugs } from "./container-plugs.js";

/** What a node tells about its part in encrypted networks. */
export interface EncryptionFacts {
  /** WireGuard's, base64; "": the kernel has none. */
  readonly publicKey: string;
  /** Where it takes encrypted traffic; 0: nowhere yet. */
  readonly udpPort: number;
}

/** The encrypted session of this node and another one. */
export interface EncryptedPair {
  readonly nodeId: string;
  readonly hostname: string;
  /** Where the other was heard of last; "": nowhere yet. */
  readonly endpoint: string;
  /** Of the session; undefined: there never was one. */
  readonly handshakeAgeMs: number | undefined;
  /** Of the cluster's key; 0: none known yet. */
  readonly generation: number;
  /** Something is sent, and nothing comes of it. */
  readonly stale: boolean;
}

export interface NodeNetworkIdentity {
  readonly nodeId: string;
  /** Node.number; 1…16383. The transit subnet is 100.64.0.0/10's /24 of that number. */
  readonly number: number;
  /** IP of the VTEP. */
  readonly dataPathAddress: string;
  readonly vxlanUdpPort: number;
}

export interface TaskSandbox {
  readonly netnsPath: string;
  /** The task's address on the node's transit subnet: target of the mesh, source of egress. */
  readonly gatewayAddress: string;
  readonly resolvConf: string;
  readonly etcHosts: string;
  /** Host-mode ports as bound, published_port filled in. */
  readonly hostPorts: readonly PortConfig[];
}

/** One network a task is on. */
export interface TaskNetwork {
  readonly networkId: string;
  /** "" when the network is gone from the store. */
  readonly name: string;
  /** IPv4 without prefix; "" on a network of IPv6 alone. */
  readonly address: string;
  readonly prefixLength: number;
  readonly address6?: string;
  readonly prefixLength6?: number;
}

export interface NetworkChangeSet {
  readonly complete: boolean;
  readonly revision: number;
  readonly upserts: readonly NodeResource[];
  readonly removals: readonly ResourceKey[];
}

/** The way to another node, as it was measured. */
export interface PathReport {
  readonly hostname: string;
  /** Its VTEP. */
  readonly address: string;
  /** The largest IP packet of the underlay that passes; 0: not yet. */
  readonly mtuBytes: number;
  /** What is wrong, in words; "": nothing. */
  readonly trouble: string;
  /** Whether traffic passes: also where large packets vanish, because networks keep to smaller ones. */
  readonly isUsable: boolean;
}

export interface NetworkPlane {
  /** Must be called before the rest, and again when a fact changes. */
  configure(identity: NodeNetworkIdentity): Promise<void>;
  /**
   * Resolves when kernel, balancer and DNS have it. Ignores tasks, secrets and configs.
   * Calls are applied in order.
   */
  apply(changes: NetworkChangeSet): Promise<void>;
  readonly appliedRevision: number;
  /** What is wrong with the node's network and its paths, in words; "": nothing. */
  readonly trouble: string;
  /** The largest IP packet that passes between this node and all others it measured; 0: not yet. */
  readonly pathMtuBytes: number;
  /** To each node that is looked at, by node number. */
  paths(): readonly PathReport[];
  /** Of the data path's interface, both families, sorted; empty: not known yet. */
  readonly nodeAddresses: readonly string[];
  /** Calls back when one of these has changed. @returns what stops it. */
  onDescribed(listener: () => void): () => void;
  /**
   * Resolves when the task that this one takes over from, if it is here, has given up the host ports that
   * both want. @throws the signal's reason when it is aborted.
   */
  portsReleased(task: Task, options: { signal: AbortSignal }): Promise<void>;
  /**
   * Namespace, interfaces, addresses, routes, DNS sockets for a task. Idempotent for a task id:
   * after a restart it adopts.
   * @throws {FailedPreconditionError} host port taken ("port 8080/tcp is already in use on node …"),
   * network unknown.
   */
  attachTask(task: Task, options: { hostname: string; extraHosts: readonly string[] }): Promise<TaskSandbox>;
  /** What the node tells of its part in encrypted networks. The first call asks the kernel. */
  encryptionFacts(): EncryptionFacts;
  /** One per node that this one shares an encrypted network with, by node id. */
  encryptedPairs(): readonly EncryptedPair[];
  /** The networks of a task that is attached here; empty for any other. */
  taskNetworks(taskId: string): readonly TaskNetwork[];
  /** Its host-mode ports, likewise. */
  taskPorts(taskId: string): readonly PortBinding[];
  /** Whether the mesh or a task here has this port of the node's addresses. */
  isPublished(protocol: "tcp" | "udp" | "sctp", port: number): boolean;
  /** Containers that are no tasks on the node's overlays. Absent: this node has no networks. */
  readonly containers?: ContainerPlugs;
  /** Compares all of it with the kernel now, repairs, and tells. Absent: this node has no networks. */
  readonly inspect?: () => Promise<NetworkInspection>;
  /** What its audits found until now. */
  readonly audits?: () => AuditReport;
  /** Removes the sandbox. Missing is fine. */
  detachTask(taskId: string): Promise<void>;
  /** Sandboxes found after a restart that no task claims are removed. */
  retain(taskIds: ReadonlySet<string>): Promise<void>;
  /** Takes everything away without trace: leave. */
  removeAll(): Promise<void>;
  /** Stops serving DNS and watching; leaves kernel state as it is. */
  close(): Promise<void>;
}
