/**
 * Keeps Raft's members and the node list in agreement while this manager leads: demoted and removed nodes
 * leave Raft, each node's manager status names its member, and what a join that broke off has left behind is
 * removed. Pure loop over ports; decisions are in role-plan.ts.
 */
import type { Clock, Timer } from "../../base/clock/clock.js";
import { messageOf } from "../../base/errors/errors.js";
import type { Logger } from "../../base/log/logger.js";
import { ComponentLoop } from "../../base/loop/component-loop.js";
import type { RaftMember } from "../../proto/gen/skein/v1/raft.js";
import type { RaftNode } from "../../raft/host/raft-node.js";
import type { Store } from "../store/types.js";
import { planRoles, type RoleStep } from "./role-plan.js";
import { SilentLearners } from "./silent-learners.js";
import { isUnfinished, UnfinishedJoins } from "./unfinished-joins.js";

export interface RoleManagerComponents {
  readonly store: Store;
  readonly raft: Pick<RaftNode, "raftId" | "removeMember" | "transferLeadership" | "onMembership" | "status">;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A membership change that Raft refused (another pending, no quorum) is tried again after this pause. */
const RETRY_MS = 500;

export interface RoleManager {
  close(): Promise<void>;
}

export function startRoleManager({ store, raft, clock, log }: RoleManagerComponents): RoleManager {
  let members: readonly RaftMember[] = [];
  const silent = new SilentLearners();
  const unfinished = new UnfinishedJoins();
  let look: Timer | undefined;
  const execute = async (step: RoleStep): Promise<void> => {
    switch (step.kind) {
      case "set-status":
        await store.update((tx) => {
          const node = tx.get("node", step.nodeId);
          if (node !== undefined) tx.update("node", { ...node, managerStatus: step.status });
        });
        return;
      case "hand-over":
        log.info("handing leadership over", { why: step.why });
        await raft.transferLeadership();
        return;
      case "remove-member":
        log.info("removing a manager from raft", { node: step.nodeId, raftId: step.raftId, why: step.why });
        await raft.removeMember(step.raftId);
        return;
      case "remove-node":
        log.info("removing a node that was admitted and never came", { node: step.nodeId });
        await store.update((tx) => {
          const node = tx.get("node", step.nodeId); // it may have come meanwhile
          if (node !== undefined && isUnfinished(node, clock.nowMs())) tx.remove("node", node.id);
        });
        return;
    }
  };
  const loop = new ComponentLoop({
    name: "role-manager",
    log,
    pass: async (signal) => {
      watch.take();
      const nodes = store.view((tx) => tx.list("node"));
      const monotonicMs = clock.monotonicMs();
      const learners = silent.look(members, raft.status().reachable, monotonicMs);
      const joins = unfinished.look(nodes, members, { nowMs: clock.nowMs(), monotonicMs });
      look?.cancel();
      const againMs = Math.min(learners.againMs ?? Infinity, joins.againMs ?? Infinity);
      look = Number.isFinite(againMs) ? clock.setTimer(againMs, () => loop.wake()) : undefined;
      const steps = planRoles({
        nodes,
        members,
        selfRaftId: raft.raftId,
        silentLearners: learners.overdue,
        unfinishedJoins: joins.overdue,
      });
      for (const step of steps) {
        if (signal.aborted) return;
        try {
          await execute(step);
        } catch (error) {
          log.warn("role step failed; it is tried again", { step: step.kind, error: messageOf(error) });
          clock.setTimer(RETRY_MS, () => loop.wake());
        }
      }
    },
  });
  const watch = store.watch({ tables: ["node"], wake: () => loop.wake() });
  const unsubscribe = raft.onMembership((now) => {
    members = now;
    loop.wake();
  });
  loop.wake();
  return {
    async close(): Promise<void> {
      look?.cancel();
      unsubscribe();
      watch.close();
      await loop.close();
    },
  };
}
