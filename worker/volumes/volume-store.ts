/**
 * Volumes of one node, as the worker names them. Pure (types only); the contract is in proto/engine.
 */
export type { VolumeEvent, VolumeRecord, VolumeRequest, VolumeStore } from "../../proto/engine/volumes.js";
