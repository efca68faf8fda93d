import assert from "node:assert/strict";
import { test } from "node:test";
import { RaftMember } from "../../proto/gen/skein/v1/raft.js";
import { SILENCE_MAX_MS, SilentLearners } from "./silent-learners.js";

const member = (raftId: number, learner: boolean): RaftMember => RaftMember.fromPartial({ raftId, learner });
const members = [member(1, false), member(2, false), member(3, true)];
const reachable = (...ids: number[]): ReadonlyMap<number, boolean> => new Map(ids.map((id) => [id, true]));

test("a learner is overdue after two minutes of silence; voters and speaking learners never are", () => {
  const silent = new SilentLearners();
  assert.deepEqual([...silent.look(members, reachable(1), 0).overdue], []);
  assert.deepEqual([...silent.look(members, reachable(1), SILENCE_MAX_MS - 1).overdue], []);
  assert.deepEqual([...silent.look(members, reachable(1), SILENCE_MAX_MS).overdue], [3]);
  assert.deepEqual([...silent.look(members, reachable(1, 3), SILENCE_MAX_MS).overdue], []);
  assert.deepEqual([...silent.look(members, reachable(1), SILENCE_MAX_MS + 1).overdue], [], "begins anew");
});

test("there is a next look while there are learners", () => {
  const silent = new SilentLearners();
  assert.ok((silent.look(members, reachable(1), 0).againMs ?? 0) > 0);
  assert.equal(silent.look([member(1, false)], reachable(1), 0).againMs, undefined);
});
