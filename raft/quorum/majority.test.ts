import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { committedIndex, quorumSize, voteResult } from "./majority.js";

test("quorum size is more than half (Raft paper 5.2)", () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 7].map((count) => quorumSize(count)),
    [1, 1, 2, 2, 3, 3, 4, 4],
  );
});

const COMMITTED: readonly { matches: readonly number[]; index: number }[] = [
  { matches: [], index: 0 },
  { matches: [7], index: 7 },
  { matches: [7, 3], index: 3 },
  { matches: [7, 3, 5], index: 5 },
  { matches: [0, 9, 9, 0], index: 0 },
  { matches: [4, 4, 9, 1, 2], index: 4 },
];

for (const { matches, index } of COMMITTED) {
  test(`committed index of [${matches}] is ${index}`, () => {
    const voters = matches.map((_, at) => at);
    assert.equal(
      committedIndex(voters, (voter) => matches[voter] ?? 0),
      index,
    );
  });
}

test("committed index is held by a majority, and the next one is not", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }), (matches) => {
      const voters = matches.map((_, at) => at);
      const index = committedIndex(voters, (voter) => matches[voter] ?? 0);
      const holders = (wanted: number) => matches.filter((match) => match >= wanted).length;
      return holders(index) >= quorumSize(matches.length) && holders(index + 1) < quorumSize(matches.length);
    }),
  );
});

const BALLOTS: readonly { ballots: readonly (boolean | undefined)[]; result: string }[] = [
  { ballots: [], result: "lost" },
  { ballots: [true], result: "won" },
  { ballots: [true, undefined], result: "pending" },
  { ballots: [true, false], result: "lost" },
  { ballots: [true, undefined, undefined], result: "pending" },
  { ballots: [true, false, undefined], result: "pending" },
  { ballots: [true, false, true], result: "won" },
  { ballots: [true, false, false], result: "lost" },
  { ballots: [true, true, false, false], result: "lost" },
];

for (const { ballots, result } of BALLOTS) {
  test(`ballots [${ballots.map((ballot) => ballot ?? "out")}] are ${result}`, () => {
    const voters = ballots.map((_, at) => at);
    assert.equal(
      voteResult(voters, (voter) => ballots[voter]),
      result,
    );
  });
}
