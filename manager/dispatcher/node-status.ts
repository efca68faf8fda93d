/**
 * What a node's word, or its silence, does to the stored node.
 * Pure. Invariant: a report that says nothing new changes nothing,
 * so that liveness alone never costs a commit.
 */
import { isDeepStrictEqual } from "node:util";
import type { NodeReport } from "../../proto/gen/skein/v1/dispatcher.js";
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";

/** An agent beside its manager comes over loopback: that tells nothing about where others find it. */
function usable(address: string): boolean {
  return address !== "" && address !== "::1" && !address.startsWith("127.");
}

/** The node may still run its tasks: it was heard not long ago, or said that it would be back. */
export function isExpected(node: Node): boolean {
  return node.status?.state === NodeState.READY || node.status?.state === NodeState.DISCONNECTED;
}

export function nodeDown(node: Node, message: string): Node {
  return { ...node, status: { address: node.status?.address ?? "", state: NodeState.DOWN, message } };
}

/** Its daemon stopped, its containers go on: nothing new is placed there, nothing is moved away yet. */
function nodeDisconnected(node: Node): Node {
  const status = { address: node.status?.address ?? "", state: NodeState.DISCONNECTED };
  return { ...node, status: { ...status, message: "the node's daemon was stopped; its tasks go on" } };
}

/** @returns the node as the report leaves it; undefined when nothing changes. */
export function withReport(node: Node, report: NodeReport): Node | undefined {
  if (report.goodbye) {
    const state = node.status?.state;
    if (state === NodeState.DOWN) return undefined;
    return state === NodeState.DISCONNECTED ? undefined : nodeDisconnected(node);
  }
  if (!report.alive) return undefined;
  const address = usable(report.address) ? report.address : (node.status?.address ?? "");
  const status = { state: NodeState.READY, message: "", address };
  const description = report.description ?? node.description;
  const clockSkewMs = report.clockSkewMs ?? node.clockSkewMs;
  const isSame = isDeepStrictEqual(node.status, status) && clockSkewMs === node.clockSkewMs;
  if (isSame && isDeepStrictEqual(node.description, description)) return undefined;
  return { ...node, status, description, clockSkewMs };
}
