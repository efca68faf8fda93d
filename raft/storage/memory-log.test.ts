import assert from "node:assert/strict";
import { test } from "node:test";

import { DataLossError } from "../../base/errors/errors.js";
import { InvariantError } from "../../base/errors/invariant.js";
import { makeEntry } from "../log/make-entry.js";
import { MemoryLog } from "./memory-log.js";

const NOBODY = { members: [], removed: [] };

function logOf(count: number): MemoryLog {
  const log = new MemoryLog();
  log.append(
    Array.from({ length: count }, (_, at) => makeEntry({ term: 1, index: at + 1 }, new Uint8Array(1))),
  );
  return log;
}

test("append replaces what stands at or after the first new index", () => {
  const log = logOf(4);
  log.append([makeEntry({ term: 2, index: 3 }, new Uint8Array(1))]);
  assert.deepEqual([log.lastIndex(), log.term(3), log.term(4)], [3, 2, undefined]);
});

test("append refuses a gap", () => {
  assert.throws(() => logOf(2).append([makeEntry({ term: 1, index: 4 }, new Uint8Array(1))]), InvariantError);
});

test("compaction keeps the term of its point and refuses what lies before", () => {
  const log = logOf(5);
  log.compact({ index: 3, term: 1, membership: NOBODY });
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(3), log.term(2)], [4, 5, 1, undefined]);
  assert.throws(() => log.entries(3, 5, 100), DataLossError);
});

test("an installed snapshot replaces everything", () => {
  const log = logOf(5);
  log.installSnapshot({ index: 9, term: 4, membership: NOBODY });
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(9)], [10, 9, 4]);
  assert.equal(log.initialState().hardState.commit, 9);
});
