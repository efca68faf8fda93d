/**
 * Volumes of one node, as the worker names them. Pure (types only); the contract is in proto/engine.
 */
import type { VolumeStore } from "../../proto/engine/volumes.js";

export type { VolumeRecord, VolumeRequest } from "../../proto/engine/volumes.js";

/** What the container manager uses of it today; the whole contract is proto/engine/volumes.ts. */
type Used = Pick<VolumeStore, "ensure" | "find" | "list" | "remove" | "copyUp">;

export type { Used as VolumeStore };
