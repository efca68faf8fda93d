/**
 * Containers of one node, tasks and plain ones alike, as the worker names them. Pure (types only); the
 * contract is in proto/engine.
 */
import type * as engine from "../../proto/engine/containers.js";

export type * from "../../proto/engine/containers.js";

/** What tasks need of it. */
export type TaskContainerManager = Pick<
  engine.ContainerManager,
  "create" | "start" | "stop" | "kill" | "remove" | "wait" | "find" | "list" | "logs" | "onEvent" | "close"
>;
