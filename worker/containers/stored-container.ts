/**
 * What is kept of a container beyond its public record, and the port of the place where it is kept. Pure.
 */
import type { Sandbox } from "../../proto/engine/networks.js";
import type { ProcessIdentity } from "../runtime/oci-runtime.js";
import type { ContainerRecord } from "./container-manager.js";

/** Where a secret or config was placed; its data is only in the tmpfs. */
export interface PlacedFile {
  readonly target: string;
  /** Name of its file in the container's folder of the tmpfs. */
  readonly file: string;
}

export interface StoredContainer {
  readonly record: ContainerRecord;
  /** While running. */
  readonly process?: ProcessIdentity;
  readonly files: readonly PlacedFile[];
  /** Volume for each mount target of kind volume, anonymous ones named. */
  readonly volumes: readonly {
    readonly target: string;
    readonly name: string;
    readonly anonymous: boolean;
    readonly readOnly: boolean;
    readonly noCopy: boolean;
    readonly subpath: string;
  }[];
  /** What the local networks gave it, while it runs. */
  readonly sandbox?: Sandbox;
  /** Absolute path of its group in the cgroup tree, while it runs. */
  readonly cgroupPath?: string;
  /** Not acknowledged yet: kept so that a creation cut short leaves no volumes. */
  readonly creating?: boolean;
  /** Of the host when it was started: processes of another boot are none of its. */
  readonly bootId?: string;
  /** It was stopped or killed on request after its last start. */
  readonly stoppedByHand?: boolean;
  /** It was told to be removed; a removal cut short is finished at the next start of the daemon. */
  readonly removing?: boolean;
}

export interface ContainerState {
  load(): Promise<readonly StoredContainer[]>;
  save(container: StoredContainer): Promise<void>;
  delete(id: string): Promise<void>;
  close(): Promise<void>;
}
