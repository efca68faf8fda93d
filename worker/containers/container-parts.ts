/**
 * What the pieces of the container manager share. Pure (types only).
 */
import type { ContainerNetworks } from "../../proto/engine/networks.js";
import type { OciRuntime } from "../runtime/oci-runtime.js";
import type { VolumeStore } from "../volumes/volume-store.js";
import type { BundleMaker } from "./container-bundle.js";
import type { ContainerEvents } from "./container-events.js";
import type { ContainerHealth } from "./container-health.js";
import type { ContainerRegistry } from "./container-registry.js";
import type { ContainerManagerInit } from "./open-container-manager.js";
import type { ContainerState } from "./stored-container.js";

/** What is opened for the manager. */
export interface ContainerManagerParts {
  readonly init: ContainerManagerInit;
  readonly runtime: OciRuntime;
  readonly state: ContainerState;
  readonly volumes: VolumeStore;
  readonly maker: BundleMaker;
  /** Of the running host. */
  readonly bootId: string;
}

/** The same with what the manager itself keeps. */
export interface ContainerParts extends ContainerManagerParts {
  readonly networks: ContainerNetworks | undefined;
  readonly registry: ContainerRegistry;
  readonly events: ContainerEvents;
  readonly health: ContainerHealth;
  /** Folder of the container's log and the like. */
  readonly logDir: (id: string) => string;
  readonly logPath: (id: string) => string;
  /** For work nobody awaits: a failure is logged. */
  readonly inBackground: (what: string, work: Promise<unknown>) => void;
}
