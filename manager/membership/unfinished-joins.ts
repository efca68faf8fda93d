/**
 * Nodes that the CA admitted and that never came: their join broke off before their id was saved, and the
 * next try got another one. Pure.
 * Invariant: a node is overdue only when it has never opened a session (it has no description), is no Raft
 * member, nothing about it has changed for ten minutes by the wall clock, and this leader has seen all of
 * that for a minute: a clock set forward, or a new leader with one that is fast, removes nobody at once. A
 * renewed certificate begins the time anew. Bound: one instant per such node.
 */
import type { Node } from "../../proto/gen/skein/v1/objects.js";
import type { RaftMember } from "../../proto/gen/skein/v1/raft.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";

/** Far above any join: what is slow there (a snapshot) is done as a Raft member. */
export const UNFINISHED_MAX_MS = 600_000;
/** Under one leader. */
export const SEEN_MIN_MS = 60_000;

/** It never opened a session, and no manager runs there. */
function neverCame(node: Node): boolean {
  const { description, managerStatus, status } = node;
  const isUnknown = status === undefined || status.state === NodeState.UNKNOWN;
  return description === undefined && managerStatus === undefined && isUnknown;
}

/** To be asked again in the transaction that removes it. */
export function isUnfinished(node: Node, nowMs: number): boolean {
  return neverCame(node) && nowMs - (node.meta?.updatedAtMs ?? nowMs) >= UNFINISHED_MAX_MS;
}

export class UnfinishedJoins {
  readonly #seenSinceMs = new Map<string, number>();

  /** @returns whose time is over, and when to look again (undefined: when something changes). */
  look(
    nodes: readonly Node[],
    members: readonly RaftMember[],
    { nowMs, monotonicMs }: { readonly nowMs: number; readonly monotonicMs: number },
  ): { readonly overdue: ReadonlySet<string>; readonly againMs: number | undefined } {
    const memberIds = new Set(members.map(({ nodeId }) => nodeId));
    const open = nodes.filter((node) => neverCame(node) && !memberIds.has(node.id));
    const openIds = new Set(open.map(({ id }) => id));
    for (const id of this.#seenSinceMs.keys()) if (!openIds.has(id)) this.#seenSinceMs.delete(id);
    const overdue = new Set<string>();
    for (const node of open) {
      const since = this.#seenSinceMs.get(node.id) ?? monotonicMs;
      this.#seenSinceMs.set(node.id, since);
      if (monotonicMs - since >= SEEN_MIN_MS && isUnfinished(node, nowMs)) overdue.add(node.id);
    }
    return { overdue, againMs: open.length > 0 ? SEEN_MIN_MS : undefined };
  }
}
