/**
 * Who leads, as events of the nodes concerned. Pure over consensus.
 * Leadership is not in the store, so these events have no number: each manager tells them as it hears of
 * them.
 */
import type { ClusterEvent } from "../../proto/gen/skein/v1/control.js";
import type { RaftNode } from "../../raft/host/raft-node.js";
import type { ReadStore } from "../store/types.js";

export interface LeaderEventsParts {
  readonly raft: Pick<RaftNode, "status" | "onLeadership">;
  readonly store: Pick<ReadStore, "view">;
  readonly tell: (event: Pick<ClusterEvent, "type" | "action" | "id" | "attributes">) => void;
}

/** @returns the way to stop. */
export function tellLeaders({ raft, store, tell }: LeaderEventsParts): () => void {
  const leaderNow = (): string => {
    const status = raft.status();
    return status.membership.members.find(({ raftId }) => raftId === status.leader)?.nodeId ?? "";
  };
  let last = leaderNow();
  return raft.onLeadership(() => {
    const next = leaderNow();
    if (next === last || next === "") return; // while nobody leads, the last one is the last known
    for (const [id, leads] of [
      [last, false],
      [next, true],
    ] as const) {
      if (id === "") continue;
      const name = store.view((view) => view.get("node", id))?.description?.hostname ?? "";
      const attributes = { name, "leader.new": String(leads), "leader.old": String(!leads) };
      tell({ type: "node", action: "update", id, attributes });
    }
    last = next;
  });
}
