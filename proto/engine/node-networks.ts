/**
 * Networks of the node itself that a task may be on: no object of the cluster stands for them, and they give
 * no addresses. They are named in the specification, never by id. Pure.
 */
export const NODE_NETWORKS: readonly string[] = ["host", "none"];

export const isNodeNetwork = (target: string): boolean => NODE_NETWORKS.includes(target);
