import assert from "node:assert/strict";
import { test } from "node:test";
import { Node } from "../../proto/gen/skein/v1/objects.js";
import { RaftMember } from "../../proto/gen/skein/v1/raft.js";
import { NodeState } from "../../proto/gen/skein/v1/types.js";
import { SEEN_MIN_MS, UNFINISHED_MAX_MS, UnfinishedJoins } from "./unfinished-joins.js";

const node = (id: string, changes: Parameters<typeof Node.fromPartial>[0] = {}): Node =>
  Node.fromPartial({ id, meta: { updatedAtMs: 0 }, status: { state: NodeState.UNKNOWN }, ...changes });
const at = (ms: number): { nowMs: number; monotonicMs: number } => ({ nowMs: ms, monotonicMs: ms });
const overdue = (joins: UnfinishedJoins, nodes: readonly Node[], ms: number, members: RaftMember[] = []) => [
  ...joins.look(nodes, members, at(ms)).overdue,
];

test("a node that never came is overdue after ten minutes without a change", () => {
  const joins = new UnfinishedJoins();
  assert.deepEqual(overdue(joins, [node("n1")], 0), []);
  assert.deepEqual(overdue(joins, [node("n1")], UNFINISHED_MAX_MS - 1), []);
  assert.deepEqual(overdue(joins, [node("n1")], UNFINISHED_MAX_MS), ["n1"]);
  const renewed = node("n1", { meta: { updatedAtMs: UNFINISHED_MAX_MS - 1 } });
  assert.deepEqual(overdue(joins, [renewed], UNFINISHED_MAX_MS), []);
});

test("who has ever had a session, or is a Raft member or a learner, never is", () => {
  const joins = new UnfinishedJoins();
  const nodes = [
    node("described", { description: { hostname: "" }, status: { state: NodeState.DOWN } }),
    node("ready", { status: { state: NodeState.READY } }),
    node("down", { status: { state: NodeState.DOWN } }),
    node("noted", { managerStatus: { raftId: 2 } }),
    node("learner"),
  ];
  const members = [RaftMember.fromPartial({ raftId: 3, nodeId: "learner", learner: true })];
  for (const ms of [0, UNFINISHED_MAX_MS, 10 * UNFINISHED_MAX_MS])
    assert.deepEqual(overdue(joins, nodes, ms, members), []);
  assert.equal(joins.look(nodes, members, at(0)).againMs, undefined);
  assert.deepEqual(
    overdue(joins, nodes, 10 * UNFINISHED_MAX_MS),
    [],
    "the learner was dropped: seen just now",
  );
});

test("a new leader looks for a minute, whatever its clock says, and looks again by itself", () => {
  const joins = new UnfinishedJoins();
  const start = 5 * UNFINISHED_MAX_MS;
  assert.deepEqual(overdue(joins, [node("n1")], start), []);
  assert.deepEqual(overdue(joins, [node("n1")], start + SEEN_MIN_MS - 1), []);
  const { overdue: now, againMs } = joins.look([node("n1")], [], at(start + SEEN_MIN_MS));
  assert.deepEqual([...now], ["n1"]);
  assert.ok((againMs ?? 0) > 0);
  assert.equal(joins.look([], [], at(start)).againMs, undefined);
});
