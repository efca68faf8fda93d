import assert from "node:assert/strict";
import { test } from "node:test";
import type { StackChange } from "../../proto/stack-api.js";
import { changeLines, changeSummary, stackPlanLines } from "./change-lines.js";

const change = (part: Partial<StackChange>): StackChange => ({
  Kind: "service",
  Key: "web",
  Action: "add",
  Fields: [],
  RestartsTasks: false,
  Reason: "",
  ...part,
});
const CHANGES: readonly StackChange[] = [
  change({
    Action: "change",
    RestartsTasks: true,
    Reason: "tasks are replaced: image, variable MODE",
    Fields: [
      { Path: "image", Before: "nginx:1", After: "nginx:2" },
      { Path: "environment.MODE", Before: "", After: "fast" },
      { Path: "labels.x", Before: "1", After: "" },
    ],
  }),
  change({ Key: "db", Action: "change", Fields: [{ Path: "replicas", Before: "1", After: "2" }] }),
  change({ Key: "old", Action: "remove" }),
  change({ Kind: "network", Key: "front", Action: "replace", Reason: "its subnet differs" }),
  change({ Kind: "secret", Key: "key", Action: "add" }),
];

test("changes are told by kind, each with its mark, what happens to tasks and the fields below", () => {
  assert.deepEqual(changeLines(CHANGES), [
    "-/+ network front  (made anew: its subnet differs)",
    "+ secret key",
    "~ service web  (tasks are replaced: image, variable MODE)",
    "    image:            nginx:1 -> nginx:2",
    "    environment.MODE: + fast",
    "    labels.x:         - 1",
    "~ service db  (no task is touched)",
    "    replicas: 1 -> 2",
    "- service old",
  ]);
  assert.equal(
    changeSummary(CHANGES),
    "1 secret added, 2 services changed, 1 network replaced, 1 service removed",
  );
});

test("colours are for terminals alone", () => {
  assert.deepEqual(changeLines([change({})], { terminal: true, colours: true, columns: () => 80 }), [
    "\x1b[32m+ service web\x1b[0m",
  ]);
});

test("a plan without changes says so; one with changes tells tasks, nodes and what does not fit", () => {
  const empty = { Changes: [], Fits: true, Warnings: [] };
  assert.deepEqual(stackPlanLines(empty, { stack: "shop" }), ["Stack shop: no change."]);
  const task = {
    ServiceID: "i",
    Name: "shop_web.1",
    Kind: "new",
    Before: { NodeName: "n1" },
    After: { NodeName: "" },
    Reason: "no node has port 80 free",
  };
  const Plan = {
    Title: "t",
    Fits: false,
    Services: [{ ID: "i", Name: "shop_web", Sentence: "1 task is replaced.", Unplaced: 1 }],
    Tasks: [task],
  };
  assert.deepEqual(
    stackPlanLines({ Changes: CHANGES.slice(1, 2), Fits: false, Warnings: [], Plan }, { stack: "shop" }),
    [
      "Stack shop: 1 service changed",
      "",
      "~ service db  (no task is touched)",
      "    replicas: 1 -> 2",
      "",
      "shop_web: 1 task is replaced.",
      "  shop_web.1  n1 -> nowhere  (new): no node has port 80 free",
      "",
      "Does not fit: 1 task would find no node.",
    ],
  );
});
