import assert from "node:assert/strict";
import { test } from "node:test";
import { RaftInspection } from "../../proto/gen/skein/v1/debug.js";
import { isQuorumLost, managerWarnings } from "./manager-warnings.js";

/** One letter per voter: r reachable, u unreachable; l a learner. */
function managers(letters: string, fields: { leader?: number; trouble?: string } = {}): RaftInspection {
  return RaftInspection.fromPartial({
    leader: 1,
    ...fields,
    members: [...letters].map((letter, at) => ({
      raftId: at + 1,
      address: `m${at + 1}:2377`,
      learner: letter === "l",
      reachable: letter === "r",
    })),
  });
}

test("one, three or five managers within reach give no warning; a joining one does not count", () => {
  for (const letters of ["r", "rrr", "rrrrr", "rrrl"])
    assert.deepEqual(managerWarnings(managers(letters)), []);
});

test("an even number is told, two in words of their own", () => {
  assert.match(managerWarnings(managers("rr")).join(), /^This swarm has 2 managers: losing either/);
  assert.match(managerWarnings(managers("rrrr")).join(), /^This swarm has 4 .* loss of 1, as 3 would/);
});

test("one loss from losing the quorum is told, and who cannot be reached", () => {
  assert.deepEqual(managerWarnings(managers("rru")), [
    "2 of 3 managers can be reached from this one (not m3:2377); losing one more manager loses the quorum.",
  ]);
  assert.deepEqual(managerWarnings(managers("rrrru")), [
    "4 of 5 managers can be reached from this one (not m5:2377).",
  ]);
});

test("a lost quorum is told with the way out; a manager cut off from a leader's majority is not one", () => {
  const lost = managers("ruu", { leader: 0 });
  assert.equal(isQuorumLost(lost), true);
  assert.match(
    managerWarnings(lost).join(),
    /^1 of 3 .*, 2 are needed: the quorum is lost.* one of m2:2377, m3:2377 back.*--force-new-cluster/,
  );
  assert.equal(isQuorumLost(managers("ruu")), false);
  assert.equal(isQuorumLost(managers("rru", { leader: 0 })), false, "an election is under way");
});

test("a manager that is not well says why", () => {
  assert.deepEqual(managerWarnings(managers("rrr", { trouble: "disk full" })), [
    "This node's manager is not well: disk full.",
  ]);
});
