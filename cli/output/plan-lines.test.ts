/**
 * A plan in words.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { planLines } from "./plan-lines.js";

test("what moves, what ends, what begins and what finds no node", () => {
  const task = (name: string, rest: object): object => ({
    ServiceID: "s",
    Name: name,
    Kind: "node",
    ...rest,
  });
  const reason = "no suitable node (1 node lacks 1 GiB of memory)";
  assert.deepEqual(
    planLines({
      Title: "drain of node h1",
      Fits: false,
      Services: [{ ID: "s", Name: "web", Sentence: "2 tasks move", Unplaced: 1 }],
      Tasks: [
        task("web.2", {
          ...{ Before: { NodeName: "h1" }, After: { NodeName: "" }, Detail: "h1 is drained" },
          Reason: reason,
        }),
        task("web.1", { Before: { NodeName: "h1" }, After: { NodeName: "h2" }, Detail: "h1 is drained" }),
        task("web.3", { Before: { NodeName: "" }, Kind: "scale", Detail: "3 to 2 replicas" }),
        task("web.4", { After: { NodeName: "h2" }, Kind: "create" }),
      ],
      Losses: [
        { NodeName: "h1", Tasks: 3, Unplaced: 1, Services: ["web"] },
        { NodeName: "h2", Tasks: 1, Unplaced: 0, Services: [] },
      ],
    }),
    [
      "Plan: drain of node h1",
      "",
      "web: 2 tasks move",
      `  web.2  h1 -> nowhere  (h1 is drained): ${reason}`,
      "  web.1  h1 -> h2  (h1 is drained)",
      "  web.3  (waiting) ends  (scale: 3 to 2 replicas)",
      "  web.4  -> h2  (create)",
      "",
      "Each node in turn, the worst first:",
      "  h1: 3 tasks there, 1 task would find no node (web)",
      "  h2: 1 task there, all find another node",
      "",
      "Does not fit: 1 task would find no node.",
    ],
  );
});

test("a long list is cut, and nothing to do is said", () => {
  const tasks = Array.from({ length: 23 }, (_, i) => ({ ServiceID: "s", Name: `web.${i}`, Kind: "create" }));
  const lines = planLines({ Title: "x", Fits: true, Services: [{ ID: "s", Name: "web" }], Tasks: tasks });
  assert.equal(lines.filter((line) => line.startsWith("  web.")).length, 20);
  assert.ok(lines.includes("  and 3 more"));
  const none = planLines({ Title: "x", Fits: true, Services: [], Tasks: [] });
  assert.deepEqual(none, ["Plan: x", "Nothing changes for any task.", "", "Everything fits."]);
});
