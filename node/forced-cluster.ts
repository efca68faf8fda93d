/**
 * The manager's part of a forced new cluster: once it leads alone, the managers it goes on without become
 * workers in the store, and the operator gets an account. Pure over Raft and the store.
 * Invariants: nodes, services and tasks stay; who was dropped keeps its node and may come back as a worker,
 * with its containers; the survivor stays a manager whatever was wished before. Repeating it changes nothing.
 */
import type { SwarmRecovery } from "../api/ports.js";
import type { Clock } from "../base/clock/clock.js";
import type { Logger } from "../base/log/logger.js";
import type { Store } from "../manager/store/types.js";
import type { Node } from "../proto/gen/skein/v1/objects.js";
import { NodeRole } from "../proto/gen/skein/v1/types.js";
import type { ForcedCluster } from "../raft/host/force-new-cluster.js";
import type { RaftNode } from "../raft/host/raft-node.js";
import { whenLeading } from "./manager-beginning.js";

export interface ForcedClusterComponents {
  readonly raft: RaftNode;
  readonly store: Store;
  readonly nodeId: string;
  readonly address: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export async function settleForcedCluster(
  { raft, store, nodeId, address, clock, log }: ForcedClusterComponents,
  account: ForcedCluster,
): Promise<SwarmRecovery> {
  await whenLeading(raft);
  await store.update((tx) => {
    for (const node of tx.list("node")) {
      const desiredRole = node.id === nodeId ? NodeRole.MANAGER : NodeRole.WORKER;
      if (node.spec === undefined || node.spec.desiredRole === desiredRole) continue;
      if (node.id !== nodeId && node.spec.desiredRole !== NodeRole.MANAGER) continue;
      tx.update("node", { ...node, spec: { ...node.spec, desiredRole } });
    }
  });
  const hostnameOf = (id: string): string =>
    store.view((tx): Node | undefined => tx.get("node", id))?.description?.hostname ?? "";
  const recovery: SwarmRecovery = {
    atMs: clock.nowMs(),
    nodeId,
    address,
    lastIndex: account.lastIndex,
    lastTerm: account.lastTerm,
    commitIndex: account.commitIndex,
    dropped: account.dropped.map((member) => ({
      nodeId: member.nodeId,
      hostname: hostnameOf(member.nodeId),
      address: member.address,
    })),
    missing: missingWords(account),
  };
  log.warn("a new cluster was forced: this manager goes on alone", { ...recovery });
  return recovery;
}

/** Sentences for the operator; nobody can know what only the lost managers held. */
export function missingWords({ lastIndex, commitIndex, wasLearner, dropped }: ForcedCluster): string[] {
  if (dropped.length === 0) return ["Nothing: this manager was the only one."];
  const uncommitted = lastIndex - commitIndex;
  return [
    `All that this manager held is kept, up to entry ${lastIndex}. Changes that the lost managers acknowledged ` +
      "without it are gone: as a rule the last moments before it lost them, or everything since it was cut off.",
    ...(uncommitted > 0
      ? [
          `The last ${uncommitted} of these entries were not known to be committed. They count now: a change ` +
            "whose caller was told that its outcome is unknown may have been made.",
        ]
      : []),
    ...(wasLearner
      ? ["This manager had joined and not caught up when the others were lost: it may lack much more."]
      : []),
    "A dropped manager that comes back is refused by its id. Where it reaches this manager it goes on as a worker " +
      "(promote it to have it as a manager again); else run `skein swarm leave --force` there and join again. " +
      "What it holds beyond this account does not come back.",
  ];
}
