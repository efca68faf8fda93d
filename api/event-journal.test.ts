import assert from "node:assert/strict";
import { test } from "node:test";
import { type EngineEvent, EVENTS_KEPT_MAX, EventJournal } from "./event-journal.js";

const event = (id: string, more: Partial<EngineEvent> = {}): EngineEvent => ({
  type: "service",
  action: "create",
  id,
  attributes: {},
  scope: "swarm",
  timeMs: 1,
  ...more,
});
const nobody = { onEvent: () => undefined, onGap: () => undefined };
const kept = (journal: EventJournal): string[] => {
  const { past, stop } = journal.follow(nobody);
  stop();
  return past.map(({ id }) => id);
};

test("the newest events are kept, in order, and tasks do not push out the others", () => {
  const journal = new EventJournal();
  journal.add(event("first"));
  for (let i = 0; i < 2 * EVENTS_KEPT_MAX; i++) journal.add(event(`task${i}`, { type: "task" }));
  journal.add(event("last"));
  const ids = kept(journal);
  assert.deepEqual(ids.slice(0, 2), ["first", `task${EVENTS_KEPT_MAX}`]);
  assert.deepEqual([ids.length, ids.at(-1)], [EVENTS_KEPT_MAX + 2, "last"]);
  for (let i = 0; i < EVENTS_KEPT_MAX; i++) journal.add(event(`other${i}`));
  assert.equal(kept(journal).includes("last"), false);
});

test("events with long labels are kept as far as there is room for them", () => {
  const journal = new EventJournal();
  for (let i = 0; i < 20; i++) journal.add(event(`e${i}`, { attributes: { label: "x".repeat(500_000) } }));
  assert.deepEqual(kept(journal), ["e12", "e13", "e14", "e15", "e16", "e17", "e18", "e19"]);
});

test("a follower has what was kept, then each event once, until it stops", () => {
  const journal = new EventJournal();
  journal.add(event("a"));
  const seen: string[] = [];
  const { past, stop } = journal.follow({ ...nobody, onEvent: ({ id }) => seen.push(id) });
  journal.add(event("b"));
  stop();
  journal.add(event("c"));
  assert.deepEqual([...past.map(({ id }) => id), ...seen], ["a", "b"]);
  assert.equal(journal.followers, 0);
});
