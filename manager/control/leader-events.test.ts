import assert from "node:assert/strict";
import { test } from "node:test";
import { Node } from "../../proto/gen/skein/v1/objects.js";
import { createTestStore } from "../../test/support/test-store.js";
import { type LeaderEventsParts, tellLeaders } from "./leader-events.js";

test("a change of the leader is told of both nodes, once there is one again", async () => {
  const { store } = createTestStore();
  await store.update((tx) => {
    for (const id of ["n1", "n2"]) tx.create("node", Node.fromPartial({ id, description: { hostname: id } }));
  });
  let leader = 1;
  let changed = (): void => undefined;
  const members = [
    { raftId: 1, nodeId: "n1" },
    { raftId: 2, nodeId: "n2" },
  ];
  const raft = {
    status: () => ({ leader, membership: { members } }),
    onLeadership: (listener: () => void) => {
      changed = listener;
      return () => undefined;
    },
  } as unknown as LeaderEventsParts["raft"]; // the part that is used
  const told: string[] = [];
  tellLeaders({
    raft,
    store,
    tell: ({ id, attributes }) => told.push(`${id} ${attributes["leader.old"]} ${attributes["leader.new"]}`),
  });
  for (const next of [0, 1, 2]) {
    leader = next;
    changed();
  }
  assert.deepEqual(told, ["n1 true false", "n2 false true"]);
});
