import assert from "node:assert/strict";
import { test } from "node:test";

import { DataLossError } from "../../base/errors/errors.js";
import { InvariantError } from "../../base/errors/invariant.js";
import { SeededRandom } from "../../base/random/seeded-random.js";
import { membershipOf, TestMember } from "../../test/support/raft-cluster.js";
import { entries, message } from "../../test/support/raft-messages.js";
import { MemoryLog } from "../storage/memory-log.js";
import { MessageKind } from "./message.js";
import { RaftCore } from "./raft-core.js";

function freshMember(voters: readonly number[], learners: readonly number[] = []): TestMember {
  const member = new TestMember(1, new MemoryLog(membershipOf(voters, learners)));
  member.drain();
  return member;
}

test("there is no second Ready before the first was carried out", () => {
  const member = freshMember([1]);
  member.core.campaign();
  assert.equal(member.core.hasReady(), true);
  member.core.ready();
  assert.equal(member.core.hasReady(), false);
  assert.throws(() => member.core.ready(), InvariantError);
  assert.throws(() => freshMember([1]).core.advance(), InvariantError);
});

test("an idle core has nothing ready", () => {
  const member = freshMember([1, 2, 3]);
  member.core.tick();
  assert.equal(member.core.hasReady(), false);
});

test("a sole voter's appends to learners wait for the sync of its vote", () => {
  const member = freshMember([1], [2]);
  member.core.campaign();
  const ready = member.core.ready();
  assert.deepEqual(ready.softState, { role: "leader", leader: 1, term: 1 });
  assert.deepEqual(ready.messagesBeforeSync, []);
  assert.equal(ready.messages[0]?.kind, MessageKind.APPEND);
});

test("a follower's answers wait for the sync, its commit index alone needs none", () => {
  const member = freshMember([1, 2, 3]);
  member.core.step(message(MessageKind.APPEND, 2, 1, { entries: entries(1, [1, 1]) }));
  const first = member.core.ready();
  assert.deepEqual([first.mustSync, first.messagesBeforeSync.length, first.messages.length], [true, 0, 1]);
  member.log.append(first.entries);
  member.core.advance();
  member.core.step(message(MessageKind.APPEND, 2, 1, { index: 2, logTerm: 1, commit: 2 }));
  const second = member.core.ready();
  assert.deepEqual([second.hardState?.commit, second.mustSync], [2, false]);
  assert.deepEqual(
    second.committedEntries.map(({ index }) => index),
    [1, 2],
  );
});

test("what arrives during a sync is part of the next Ready", () => {
  const member = freshMember([1, 2, 3]);
  member.core.step(message(MessageKind.APPEND, 2, 1, { entries: entries(1, [1]) }));
  const first = member.core.ready();
  member.core.step(message(MessageKind.APPEND, 2, 1, { index: 1, logTerm: 1, entries: entries(2, [1]) }));
  member.log.append(first.entries);
  member.core.advance();
  assert.deepEqual(
    member.core.ready().entries.map(({ index }) => index),
    [2],
  );
});

test("entries replaced by a new leader during their sync are written again", () => {
  const member = freshMember([1, 2, 3]);
  member.core.step(message(MessageKind.APPEND, 2, 1, { entries: entries(1, [1, 1]) }));
  const first = member.core.ready();
  member.core.step(message(MessageKind.APPEND, 3, 2, { index: 1, logTerm: 1, entries: entries(2, [2]) }));
  member.log.append(first.entries);
  member.core.advance();
  const second = member.core.ready();
  assert.deepEqual(second.entries.at(-1), entries(2, [2])[0]);
  member.log.append(second.entries);
  assert.deepEqual([member.log.lastIndex(), member.log.term(2)], [2, 2]);
});

test("a restart hands out what was committed but not applied", () => {
  const log = new MemoryLog(membershipOf([1, 2, 3]));
  log.append(entries(1, [1, 1, 1]));
  log.setHardState({ term: 1, vote: 2, commit: 3 });
  const core = new RaftCore({ id: 1, storage: log, random: new SeededRandom(1), appliedIndex: 1 });
  const ready = core.ready();
  assert.deepEqual(
    ready.committedEntries.map(({ index }) => index),
    [2, 3],
  );
  assert.equal(ready.hardState, undefined, "nothing changed");
});

test("a log that lost committed entries is refused at start", () => {
  const log = new MemoryLog(membershipOf([1]));
  log.setHardState({ term: 1, vote: 1, commit: 4 });
  assert.throws(
    () => new RaftCore({ id: 1, storage: log, random: new SeededRandom(1), appliedIndex: 0 }),
    DataLossError,
  );
});

test("messages for somebody else are ignored", () => {
  const member = freshMember([1, 2, 3]);
  member.core.step(message(MessageKind.VOTE, 2, 7, { to: 3 }));
  assert.equal(member.core.status().term, 0);
});
