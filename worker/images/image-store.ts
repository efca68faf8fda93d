/**
 * Images of one node, as the worker names them. Pure (types only); the contract is in proto/engine.
 */
export type * from "../../proto/engine/images.js";
