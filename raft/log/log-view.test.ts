import assert from "node:assert/strict";
import { test } from "node:test";

import { DataLossError } from "../../base/errors/errors.js";
import { InvariantError } from "../../base/errors/invariant.js";
import type { Entry } from "../core/types.js";
import { MemoryLog } from "../storage/memory-log.js";
import { LogView } from "./log-view.js";
import { makeEntry } from "./make-entry.js";

/** Entries with these terms, from `first` on. */
function entriesOf(first: number, terms: readonly number[]): Entry[] {
  return terms.map((term, at) => makeEntry({ term, index: first + at }, new Uint8Array(10)));
}

/** A log whose entries 1… have these terms, all stable. */
function viewOf(terms: readonly number[], known = { commitIndex: 0, appliedIndex: 0 }) {
  const storage = new MemoryLog();
  storage.append(entriesOf(1, terms));
  return { storage, view: new LogView(storage, known) };
}

const EMPTY_MEMBERSHIP = { members: [], removed: [] };

test("up to date: the later last term wins, then the longer log (Raft paper 5.4.1)", () => {
  const { view } = viewOf([1, 2, 2]);
  assert.equal(view.isUpToDate(1, 3), true);
  assert.equal(view.isUpToDate(9, 1), false);
  assert.equal(view.isUpToDate(3, 2), true);
  assert.equal(view.isUpToDate(2, 2), false);
});

test("merge replaces from the first conflict on, and only from there (Raft paper 5.3)", () => {
  const { storage, view } = viewOf([1, 1, 2, 2]);
  view.merge(entriesOf(2, [1, 3]));
  assert.deepEqual(
    [1, 2, 3, 4].map((index) => view.term(index)),
    [1, 1, 3, undefined],
  );
  assert.equal(view.stableIndex, 2);
  storage.append(view.unstable);
  assert.equal(storage.lastIndex(), 3);
});

test("an old short message does not cut a longer matching log (Raft paper 5.3)", () => {
  const { view } = viewOf([1, 1, 2, 2]);
  view.merge(entriesOf(1, [1, 1]));
  assert.deepEqual([view.lastIndex, view.unstable.length], [4, 0]);
});

test("a committed entry is never replaced", () => {
  const { view } = viewOf([1, 1, 1], { commitIndex: 2, appliedIndex: 0 });
  assert.throws(() => view.merge(entriesOf(2, [2])), InvariantError);
});

test("an entry that was replaced during its sync does not count as stable", () => {
  const { view } = viewOf([1]);
  view.append(entriesOf(2, [1, 1]));
  view.merge(entriesOf(3, [2]));
  view.stableTo(3, 1);
  assert.equal(view.stableIndex, 1);
  view.stableTo(3, 2);
  assert.equal(view.stableIndex, 3);
});

test("slice crosses from stable to unstable and respects its bound", () => {
  const { view } = viewOf([1, 1]);
  view.append(entriesOf(3, [2, 2]));
  const indexes = (bytesMax: number) => view.slice(1, 5, bytesMax).map((entry) => entry.index);
  assert.deepEqual(indexes(1_000), [1, 2, 3, 4]);
  assert.deepEqual(indexes(110), [1, 2, 3]);
  assert.deepEqual(indexes(1), [1], "never nothing");
});

test("a conflict is sought by whole terms (Raft paper, end of 5.3)", () => {
  const { view } = viewOf([1, 1, 3, 3, 3, 5]);
  assert.deepEqual(view.findConflictByTerm(6, 4), { index: 5, term: 3 });
  assert.deepEqual(view.findConflictByTerm(5, 2), { index: 2, term: 1 });
  assert.deepEqual(view.findConflictByTerm(99, 9), { index: 6, term: 5 });
  assert.deepEqual(view.findConflictByTerm(2, 0), { index: 0, term: 0 });
});

test("a snapshot takes the log's place and counts as applied once installed (Raft paper 7)", () => {
  const { view } = viewOf([1, 1], { commitIndex: 1, appliedIndex: 1 });
  const snapshot = { index: 10, term: 4, membership: EMPTY_MEMBERSHIP };
  view.restore(snapshot);
  assert.deepEqual([view.firstIndex, view.lastIndex, view.lastTerm, view.commitIndex], [11, 10, 4, 10]);
  assert.equal(view.hasUnapplied(), false);
  assert.equal(view.appliedIndex, 1);
  assert.equal(view.restored(snapshot), true);
  assert.equal(view.appliedIndex, 10);
});

test("a log that ends before its commit index is refused", () => {
  assert.throws(() => viewOf([1], { commitIndex: 2, appliedIndex: 0 }), DataLossError);
});
