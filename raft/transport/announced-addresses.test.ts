import assert from "node:assert/strict";
import { test } from "node:test";
import type { RaftMember } from "../core/types.js";
import { AnnouncedAddresses } from "./announced-addresses.js";

const member = (raftId: number, address: string): RaftMember => ({
  raftId,
  nodeId: `n${raftId}`,
  address,
  learner: false,
});
const dialled = (announced: AnnouncedAddresses, members: readonly RaftMember[]): string =>
  announced
    .over(members)
    .map(({ address }) => address)
    .join(" ");

test("announced addresses count until the membership names another, and go with the member", () => {
  const announced = new AnnouncedAddresses();
  const members = [member(1, "a:1"), member(2, "b:1")];
  assert.equal(announced.note(members, 2, "b:1"), false, "as agreed");
  assert.equal(announced.note(members, 3, "c:1"), false, "a stranger");
  assert.equal(announced.note(members, 2, "b:2"), true);
  assert.equal(announced.note(members, 2, "b:2"), false, "said before");
  assert.equal(dialled(announced, members), "a:1 b:2");
  assert.equal(dialled(announced, [member(1, "a:1"), member(2, "b:3")]), "a:1 b:3", "agreed on later");
  assert.equal(announced.note(members, 2, "b:1"), true, "it is back where it was");
  assert.equal(dialled(announced, members), "a:1 b:1");
  announced.note(members, 2, "b:2");
  assert.equal(dialled(announced, [member(1, "a:1")]), "a:1");
  assert.equal(dialled(announced, members), "a:1 b:1", "a new member under the old id has nothing of it");
});

test("what others say counts until they say no more, for whoever has not spoken here", () => {
  const announced = new AnnouncedAddresses();
  const members = [member(1, "a:1"), member(2, "b:1"), member(3, "c:1")];
  const nobody = (): boolean => false;
  const said = (...pairs: [number, string][]) => new Map(pairs);
  assert.equal(announced.hear(members, said([2, "b:1"], [9, "x:1"]), nobody), false, "as agreed; a stranger");
  assert.equal(announced.hear(members, said([2, "b:2"], [3, "c:2"]), nobody), true);
  assert.equal(dialled(announced, members), "a:1 b:2 c:2");
  assert.equal(
    announced.hear(members, said([2, "b:3"]), (peer) => peer === 2),
    true,
    "only 3 changes",
  );
  assert.equal(dialled(announced, members), "a:1 b:2 c:1", "2 is reached where it is dialled");
  assert.equal(announced.note(members, 2, "b:2"), false, "it says so itself");
  assert.equal(announced.hear(members, said(), nobody), false);
  assert.equal(dialled(announced, members), "a:1 b:2 c:1");
  assert.equal(announced.hear(members, said([2, "b:4"]), nobody), true, "it has gone on since");
  assert.equal(dialled(announced, members), "a:1 b:4 c:1");
  assert.equal(dialled(announced, [member(1, "a:1"), member(2, "b:5")]), "a:1 b:5", "agreed on later");
  assert.equal(announced.note(members, 2, "b:1"), true, "it is back where it was");
  assert.equal(dialled(announced, members), "a:1 b:1 c:1");
});
