import assert from "node:assert/strict";
import { test } from "node:test";
import { DataLossError } from "../../base/errors/errors.js";
import { InvariantError } from "../../base/errors/invariant.js";
import type { Entry } from "../core/types.js";
import { makeEntry } from "../log/make-entry.js";
import { EntryLog } from "./entry-log.js";

function entries(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) =>
    makeEntry({ term, index: from + i }, new Uint8Array(100)),
  );
}

test("an entry log replaces from the index that is appended again", () => {
  const log = new EntryLog({ index: 0, term: 0 }, entries(1, 5));
  log.append(entries(3, 3, 2));
  assert.deepEqual([log.lastIndex, log.term(2), log.term(3), log.term(4)], [3, 1, 2, undefined]);
  assert.throws(() => log.append(entries(6, 6)), InvariantError);
});

test("an entry log knows the term of its base, nothing before it, and skips what is compacted", () => {
  const log = new EntryLog({ index: 10, term: 3 }, entries(9, 12, 3));
  assert.deepEqual([log.firstIndex, log.lastIndex, log.term(10), log.term(9)], [11, 12, 3, undefined]);
  assert.throws(() => log.slice(10, 12, 1), DataLossError);
});

test("an entry log cuts a slice at the bytes asked for, but gives one entry at least", () => {
  const log = new EntryLog({ index: 0, term: 0 }, entries(1, 10));
  assert.equal(log.slice(1, 11, 1).length, 1);
  assert.equal(log.slice(1, 11, 400).length, 2);
  assert.equal(log.slice(11, 12, 400).length, 0);
});

test("an entry log compacts to a point it holds, and starts empty after one it does not", () => {
  const log = new EntryLog({ index: 0, term: 0 }, entries(1, 10));
  log.setBase({ index: 4, term: 1 });
  assert.deepEqual([log.firstIndex, log.lastIndex], [5, 10]);
  log.setBase({ index: 2, term: 1 });
  assert.equal(log.firstIndex, 5);
  log.setBase({ index: 7, term: 9 });
  assert.deepEqual([log.firstIndex, log.lastIndex, log.bytes], [8, 7, 0]);
});

test("an entry log finds from where on its entries fit a number of bytes", () => {
  const log = new EntryLog({ index: 20, term: 1 }, entries(21, 30));
  assert.equal(log.indexKeeping(0), 30);
  assert.equal(log.indexKeeping(log.bytes / 2), 25);
  assert.equal(log.indexKeeping(log.bytes), 20);
});
