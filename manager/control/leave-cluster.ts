/**
 * A manager leaves: it is demoted in the store, the role manager takes it out of Raft,
 * and the answer comes when that has happened,
 * so that the leaving manager stays up for as long as its vote is needed.
 * Pure over the store and Raft's notices. Invariant: a manager that asks from outside takes out itself only.
 */
import type { Clock } from "../../base/clock/clock.js";
import {
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidArgumentError,
  NotLeaderError,
  PermissionDeniedError,
  UnavailableError,
} from "../../base/errors/errors.js";
import type { PeerIdentity } from "../../base/grpc/peer-identity.js";
import type { LeaveClusterRequest } from "../../proto/gen/skein/v1/control.js";
import { NodeRole, NodeState } from "../../proto/gen/skein/v1/types.js";
import type { ControlComponents } from "./control-components.js";
import { hasQuorum, keepsQuorumWithout, memberOf, voters } from "./raft-view.js";

/** Long enough for a hand-over of leadership and a membership change over a slow link. */
const REMOVAL_WAIT_MS = 10_000;

/**
 * @param caller whose certificate was shown; undefined: the daemon beside this manager.
 * @throws {PermissionDeniedError} the certificate is another node's;
 * {FailedPreconditionError} a manager leaves without force;
 * {UnavailableError} nothing can be changed now, because too few managers can be reached;
 * {NotLeaderError} the leader itself leaves and has handed over: ask again, at the new leader;
 * {DeadlineExceededError} Raft did not let go of the member in time.
 */
export async function leaveCluster(
  components: ControlComponents,
  request: LeaveClusterRequest,
  caller?: PeerIdentity,
): Promise<void> {
  const { store, raft } = components;
  if (request.nodeId === "") throw new InvalidArgumentError("the leaving node must be named");
  if (caller !== undefined && caller.nodeId !== request.nodeId)
    throw new PermissionDeniedError(`node ${caller.nodeId} may not leave for node ${request.nodeId}`);
  const status = raft.status();
  const member = memberOf(status, request.nodeId);
  if (member !== undefined && !request.force) throw refusal(voters(status).length);
  const stays = member !== undefined && !member.learner && voters(status).length === 1;
  if (stays) return; // the last manager takes the cluster with it: nobody is left to be told
  if (!hasQuorum(status)) throw new UnavailableError("too few managers can be reached to keep a quorum");
  await store.update((tx) => {
    const node = tx.get("node", request.nodeId);
    if (node?.spec === undefined) return; // removed before
    tx.update("node", {
      ...node,
      spec: { ...node.spec, desiredRole: NodeRole.WORKER },
      status: { address: node.status?.address ?? "", state: NodeState.DOWN, message: "node left the swarm" },
    });
  });
  // Without a quorum afterwards Raft refuses the change, and waiting for it helps nobody:
  // force means to go all the same.
  if (member === undefined || !keepsQuorumWithout(status, member.raftId)) return;
  await removal(components.clock, raft, request.nodeId);
}

function refusal(voterCount: number): FailedPreconditionError {
  const what = "You are attempting to leave the swarm on a node that is participating as a manager. ";
  return new FailedPreconditionError(
    voterCount === 1
      ? `${what}Removing the last manager erases all current state of the swarm. ` +
          `Use \`--force\` to ignore this message.`
      : `${what}The swarm is left with ${voterCount - 1} managers. Demote the node first, ` +
          `or use \`--force\` to suppress this message.`,
  );
}

/** Resolves when the node is no Raft member any more, or the only one: others left meanwhile. */
function removal(clock: Clock, raft: ControlComponents["raft"], nodeId: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const ends: (() => void)[] = [];
    let settled = false;
    const settle = (act: () => void): void => {
      if (settled) return;
      settled = true;
      for (const end of ends) end();
      act();
    };
    /** Both subscriptions call back at once, before they can be ended. */
    const own = (end: () => void): void => {
      if (settled) end();
      else ends.push(end);
    };
    own(
      raft.onMembership((members) => {
        const others = members.filter((member) => member.nodeId !== nodeId);
        const votesAlone = others.length < members.length && others.every(({ learner }) => learner);
        if (others.length === members.length || votesAlone) settle(resolve);
      }),
    );
    own(
      raft.onLeadership(({ isLeader, leader }) => {
        if (isLeader) return;
        const message = "leadership was handed over while the node left: ask the new leader";
        settle(() => reject(new NotLeaderError(message, { leaderAddress: leader?.address })));
      }),
    );
    const timer = clock.setTimer(REMOVAL_WAIT_MS, () =>
      settle(() =>
        reject(
          new DeadlineExceededError(`node ${nodeId} was not taken out of Raft within ${REMOVAL_WAIT_MS} ms`),
        ),
      ),
    );
    own(() => timer.cancel());
  });
}
