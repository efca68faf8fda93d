import assert from "node:assert/strict";
import { test } from "node:test";
import { Node } from "../../proto/gen/skein/v1/objects.js";
import { RaftMember } from "../../proto/gen/skein/v1/raft.js";
import { NodeRole, NodeSpec } from "../../proto/gen/skein/v1/types.js";
import { planRoles } from "./role-plan.js";

const member = (raftId: number, learner = false): RaftMember =>
  RaftMember.fromPartial({ raftId, nodeId: `n${raftId}`, address: `10.0.0.${raftId}:2377`, learner });

function node(raftId: number, options: { desired?: NodeRole; status?: boolean } = {}): Node {
  return Node.fromPartial({
    id: `n${raftId}`,
    role: NodeRole.MANAGER,
    spec: NodeSpec.fromPartial({ desiredRole: options.desired ?? NodeRole.MANAGER }),
    managerStatus: options.status === false ? undefined : { raftId, address: `10.0.0.${raftId}:2377` },
  });
}

test("planRoles, everything agrees: no step", () => {
  assert.deepEqual(
    planRoles({ nodes: [node(1), node(2)], members: [member(1), member(2)], selfRaftId: 1 }),
    [],
  );
});

test("planRoles, a new member: its node gets a manager status", () => {
  const steps = planRoles({
    nodes: [node(1), node(2, { status: false })],
    members: [member(1), member(2)],
    selfRaftId: 1,
  });
  assert.deepEqual(
    steps.map((step) => step.kind),
    ["set-status"],
  );
});

test("planRoles, a demoted follower and a removed node: one removal at a time", () => {
  const nodes = [node(1), node(2, { desired: NodeRole.WORKER })];
  const steps = planRoles({ nodes, members: [member(1), member(2), member(3)], selfRaftId: 1 });
  assert.deepEqual(steps, [{ kind: "remove-member", raftId: 2, nodeId: "n2", why: "it was demoted" }]);
});

test("planRoles, the leader is demoted: it hands over instead of removing itself", () => {
  const nodes = [node(1, { desired: NodeRole.WORKER }), node(2)];
  const steps = planRoles({ nodes, members: [member(1), member(2)], selfRaftId: 1 });
  assert.deepEqual(steps, [{ kind: "hand-over", why: "it was demoted" }]);
});

test("planRoles, the last voter: never removed", () => {
  assert.deepEqual(
    planRoles({ nodes: [node(1, { desired: NodeRole.WORKER })], members: [member(1)], selfRaftId: 1 }),
    [],
  );
});

test("planRoles, a learner that never caught up: it is dropped; a voter is not", () => {
  const input = { nodes: [node(1), node(2), node(3)], members: [member(1), member(2), member(3, true)] };
  const steps = planRoles({ ...input, selfRaftId: 1, silentLearners: new Set([3]) });
  assert.deepEqual(
    steps.map((step) => [step.kind, "raftId" in step ? step.raftId : 0]),
    [["remove-member", 3]],
  );
});
