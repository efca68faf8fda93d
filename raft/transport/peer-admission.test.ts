import assert from "node:assert/strict";
import { test } from "node:test";
import { admit, type Roster } from "./peer-admission.js";

const roster = (members: Record<number, string>, removed: readonly number[] = []): Roster => ({
  members: Object.entries(members).map(([raftId, nodeId]) => ({ raftId: Number(raftId), nodeId })),
  removed,
});
const own = roster({ 1: "a", 2: "b", 3: "c" }, [9]);
const view = { own, rosters: [own], isAlone: false };

test("a member is who its certificate says, and nobody else", () => {
  assert.equal(admit(2, "b", view), "served");
  assert.equal(admit(2, "c", view), "impostor");
  assert.equal(admit(2, undefined, view), "served", "without TLS there is nothing to check");
});

test("a removed id is refused, whatever the certificate", () => {
  assert.equal(admit(9, "a", view), "removed");
  assert.equal(admit(9, undefined, view), "removed");
});

test("a demoted manager gets nowhere under a fresh id, nor under its own at a member that is behind", () => {
  assert.equal(admit(44, "demoted", view), "unknown");
  const behind = {
    own: roster({ 1: "a", 2: "b", 3: "demoted" }),
    rosters: [roster({ 1: "a", 2: "b" }, [3])],
  };
  assert.equal(admit(3, "demoted", { ...behind, isAlone: false }), "unknown");
  assert.equal(admit(44, "demoted", { ...behind, isAlone: true }), "unknown", "others can be asked");
});

test("a member that is behind serves whom a member in reach knows", () => {
  const rosters = [own, roster({ 1: "a", 2: "b", 3: "c", 7: "d" })];
  assert.equal(admit(7, "d", { own, rosters, isAlone: false }), "served");
  assert.equal(admit(7, "demoted", { own, rosters, isAlone: false }), "unknown");
});

test("with nobody to ask an unknown id waits, and is served in the end", () => {
  assert.equal(admit(7, "d", { own, rosters: [], isAlone: false }), "unknown");
  assert.equal(admit(7, "d", { own, rosters: [], isAlone: true }), "served");
});
