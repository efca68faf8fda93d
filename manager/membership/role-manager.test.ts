import assert from "node:assert/strict";
import { test } from "node:test";
import { Node } from "../../proto/gen/skein/v1/objects.js";
import { RaftMember } from "../../proto/gen/skein/v1/raft.js";
import { NodeRole, NodeState } from "../../proto/gen/skein/v1/types.js";
import type { RaftStatus } from "../../raft/host/raft-node.js";
import { createTestStore } from "../../test/support/test-store.js";
import { type RoleManagerComponents, startRoleManager } from "./role-manager.js";
import { SEEN_MIN_MS, UNFINISHED_MAX_MS } from "./unfinished-joins.js";

/** This leader, and a learner that is fetching the cluster's state. */
const members = [
  RaftMember.fromPartial({ raftId: 1, nodeId: "m1", address: "10.1.0.1:2377" }),
  RaftMember.fromPartial({ raftId: 2, nodeId: "slow", address: "10.1.0.2:2377", learner: true }),
];

const raft: RoleManagerComponents["raft"] = {
  raftId: 1,
  removeMember: () => Promise.reject(new Error("nobody is to be taken out of Raft")),
  transferLeadership: () => Promise.reject(new Error("nothing is to be handed over")),
  onMembership: (listener) => {
    listener(members);
    return () => undefined;
  },
  status: () => ({ reachable: new Map([[2, true]]) }) as unknown as RaftStatus, // no more is read
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("what a join that broke off left behind goes after ten minutes; who may still come stays", async () => {
  const { store, clock, log } = createTestStore();
  const admitted = (id: string): Node =>
    Node.fromPartial({
      id,
      spec: { desiredRole: NodeRole.MANAGER },
      role: NodeRole.MANAGER,
      status: { state: NodeState.UNKNOWN },
    });
  await store.update((tx) => {
    for (const id of ["slow", "lost"]) tx.create("node", admitted(id));
    const description = { hostname: "one" };
    tx.create(
      "node",
      Node.fromPartial({ ...admitted("m1"), description, status: { state: NodeState.READY } }),
    );
  });
  const ids = (): string[] => store.view((tx) => tx.list("node").map(({ id }) => id)).sort();
  const manager = startRoleManager({ store, raft, clock, log });
  await turn();
  await store.update((tx) => tx.create("node", admitted("retry")));
  const passMinutes = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      clock.advance(SEEN_MIN_MS);
      await turn();
    }
  };
  await passMinutes(UNFINISHED_MAX_MS / SEEN_MIN_MS - 1);
  assert.deepEqual(ids(), ["lost", "m1", "retry", "slow"]);
  await store.update((tx) => {
    const node = tx.get("node", "retry");
    assert.ok(node);
    tx.update("node", { ...node, status: { state: NodeState.READY, address: "", message: "" } });
  });
  await passMinutes(20);
  assert.deepEqual(ids(), ["m1", "retry", "slow"]);
  await manager.close();
});
