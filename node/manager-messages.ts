/**
 * What skeind and its manager child say to each other over the IPC channel. Pure (types).
 * Keys travel here and in memory only, never in arguments or the environment.
 */
import type { SwarmRecovery } from "../api/ports.js";
import type { ClusterSpec, NodeAvailability } from "../proto/gen/skein/v1/types.js";
import type { TlsIdentity } from "./rpc-host.js";

export interface ManagerPlace {
  /** Folder of log and state; owned by the manager's user. */
  readonly dir: string;
  readonly socketPath: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** host:port for other managers. */
  readonly advertiseAddress: string;
  readonly hostname: string;
}

export type ManagerMode =
  | {
      readonly kind: "init";
      readonly spec: ClusterSpec | undefined;
      readonly addressPools: readonly string[];
      readonly subnetSize: number;
      readonly vxlanUdpPort: number;
      readonly availability: NodeAvailability;
      readonly autolock: boolean;
    }
  | {
      readonly kind: "join";
      readonly nodeId: string;
      readonly clusterId: string;
      readonly identity: TlsIdentity;
      readonly managers: readonly string[];
    }
  | {
      readonly kind: "resume";
      readonly nodeId: string;
      readonly clusterId: string;
      readonly identity: TlsIdentity;
    }
  | {
      /** Resumes as the only manager, though the quorum is lost. */
      readonly kind: "force-new-cluster";
      readonly nodeId: string;
      readonly clusterId: string;
      readonly identity: TlsIdentity;
    };

export interface ManagerConfig {
  readonly place: ManagerPlace;
  readonly mode: ManagerMode;
  /** What the data keys are to be locked under, "" for nothing, then what they may be locked under still. */
  readonly unlockKeys?: readonly string[];
  /** Given up once everything is loaded; undefined keeps the user of the process. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  readonly logLevel: string;
}

export type ToManager =
  | { readonly kind: "start"; readonly config: ManagerConfig }
  | { readonly kind: "identity"; readonly identity: TlsIdentity }
  /** The answer to `lock-changing`; "" when the identity was saved under the new key. */
  | { readonly kind: "lock-followed"; readonly refusal: string }
  /** The answer to `secret-wanted`: data in base64, or why there is none. */
  | {
      readonly kind: "secret-given";
      readonly question: number;
      readonly data: string;
      readonly doNotReuse: boolean;
      readonly refusal: string;
    }
  | { readonly kind: "stop" };

export type FromManager =
  /** Sent once; the identity only after `init`, where the manager made it. */
  | {
      readonly kind: "ready";
      readonly nodeId: string;
      readonly clusterId: string;
      readonly identity: TlsIdentity | undefined;
      /** What the data keys are locked under; "": nothing. */
      readonly unlockKey: string;
      /** After `force-new-cluster`. */
      readonly recovery: SwarmRecovery | undefined;
    }
  /** The cluster's unlock key is another, "" for none: it waits until the identity is saved under it. */
  | { readonly kind: "lock-changing"; readonly unlockKey: string }
  /** The data keys are locked under it, too. */
  | { readonly kind: "lock-changed"; readonly unlockKey: string }
  /** A task needs what a plugin of this node gives: the manager's user may not speak to it. */
  | {
      readonly kind: "secret-wanted";
      readonly question: number;
      readonly driver: string;
      readonly request: object;
    }
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  /** It served, and ends now because of this: a full disk, say. */
  | { readonly kind: "stopped"; readonly message: string }
  /** It serves, but is not healthy; "": it is again. */
  | { readonly kind: "trouble"; readonly message: string }
  /** It was removed from the cluster while it was away: to start it again is of no use. */
  | { readonly kind: "removed"; readonly message: string };
