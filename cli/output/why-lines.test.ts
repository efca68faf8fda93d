/**
 * `service why` as people read it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lengthText, serviceWhyLines } from "./why-lines.js";

const at = (time: string): string => `2026-01-01T${time}.000000000Z`;

test("the reason comes first, then each slot's story with its older tasks", () => {
  const running = {
    ID: "t2aaaaaaaaaaaaaaaaaaaaaaa",
    Name: "web.1",
    Sentence: "runs on host2 for 50 s",
    CreatedAt: at("10:00:05"),
    CreatedBecause: "restart: exit code 3",
    Replaces: "t1aaaaaaaaaaaaaaaaaaaaaaa",
    Phases: [
      { Phase: "allocate", DurationMs: 2 },
      { Phase: "pull", DurationMs: 1_234 },
      { Phase: "run", DurationMs: 50_000, Open: true },
    ],
    Waits: [
      {
        Cause: "restart-delay",
        Message: "starts at 10:00:10 UTC, 5 s after its predecessor: exit code 3",
        Since: at("10:00:05"),
        Until: at("10:00:10"),
      },
    ],
  };
  const dead = {
    ID: "t1aaaaaaaaaaaaaaaaaaaaaaa",
    Name: "web.1",
    Sentence: "exited with code 3 on host1 after 2 s",
    Advice: "not shown for what is over",
    Detail: "task: non-zero exit (3)",
    CreatedAt: "2025-12-31T23:59:59.000000000Z",
    CreatedBecause: "create",
    StoppedBecause: "restart: exit code 3",
    ReplacedBy: running.ID,
    Phases: [],
    Waits: [],
  };
  const why = {
    Name: "web",
    Headline: "1 of 2 tasks of web run; 1 missing. web.2: waits for a node",
    Advice: ["join a node"],
    Update: { State: "completed", CompletedAt: at("09:00:00"), Message: "update completed" },
    LastChange: "image app:1 to app:2",
    Slots: [{ Name: "web.1", Tasks: [running, dead] }],
    SlotsLeftOut: 3,
    Now: at("10:01:00"),
  };
  assert.deepEqual(serviceWhyLines(why), [
    "1 of 2 tasks of web run; 1 missing. web.2: waits for a node",
    "  try: join a node",
    "  update: completed at 09:00:00, update completed",
    "  last change: image app:1 to app:2",
    "",
    "web.1 t2aaaaaaaaaa: runs on host2 for 50 s",
    "  10:00:05 made for: restart: exit code 3, after t1aaaaaaaaaa",
    "  10:00:05 waited for 5 s: starts at 10:00:10 UTC, 5 s after its predecessor: exit code 3",
    "  addresses in 2 ms, image in 1.2 s, runs for 50 s",
    " \\_ web.1 t1aaaaaaaaaa: exited with code 3 on host1 after 2 s",
    "     the node said: task: non-zero exit (3)",
    "     2025-12-31 23:59:59 made for: create",
    "     told to stop: restart: exit code 3",
    "     replaced by t2aaaaaaaaaa",
    "",
    "and 3 more slots; of one: skein service why web.SLOT",
  ]);
});

test("lengths of time", () => {
  const of = [3, 1_234, 75_000, 12 * 60_000, 185 * 60_000, 72 * 3_600_000];
  assert.deepEqual(of.map(lengthText), ["3 ms", "1.2 s", "75 s", "12 min", "3 h 5 min", "3 days"]);
});
