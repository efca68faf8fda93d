import assert from "node:assert/strict";
import { test } from "node:test";
import type { RevisionSummary, StackSummary } from "../../proto/stack-api.js";
import { serviceState, stackState } from "../stack/stack-fixtures.js";
import { undoCandidates } from "../stack/undo-candidates.js";
import {
  HISTORY_COLUMNS,
  historyRow,
  revisionLines,
  STACK_COLUMNS,
  stackRow,
  statusLines,
} from "./stack-rows.js";
import { table } from "./table.js";

const summary = (part: Partial<StackSummary>): StackSummary => ({
  Name: "shop",
  ID: "i",
  Services: 2,
  Running: 3,
  Desired: 3,
  Revision: 4,
  GoodRevision: 4,
  Phase: "reached",
  ...part,
});
const revision = (number: number, part: Partial<RevisionSummary> = {}): RevisionSummary => ({
  Number: number,
  By: "anna@host1",
  At: "2026-01-02T10:00:00Z",
  Changes: "service web changed",
  Outcome: "good",
  Failure: "",
  Origin: "deploy",
  Restores: 0,
  Images: { web: "nginx:1@sha256:aa" },
  Files: { "secret key": 2 },
  ...part,
});

test("stacks are listed with Docker's columns first; one that went back shows the revision it is on", () => {
  const rows = [
    summary({}),
    summary({ Name: "blog", Phase: "went back", Revision: 3, GoodRevision: 2, Running: 1 }),
    summary({ Name: "old", ID: "", Revision: 0, GoodRevision: 0, Phase: "" }),
  ].map(stackRow);
  assert.equal(
    table(STACK_COLUMNS, rows),
    "NAME   SERVICES   TASKS   REVISION   STATE\n" +
      "shop   2          3/3     4          reached\n" +
      "blog   2          1/3     2          went back (revision 3 failed)\n" +
      "old    2          3/3     -          -",
  );
});

test("history marks what the stack is on, and names what was restored, observed or failed", () => {
  const options = { nowMs: Date.parse("2026-01-02T10:05:00Z"), noTrunc: false, current: 2 };
  const rows = [
    revision(4, { Outcome: "failed", Failure: "web: 3 tasks failed", Changes: "image" }),
    revision(3, { Origin: "observed", By: "" }),
    revision(2, { Origin: "rollback", Restores: 1 }),
  ].map((each) => historyRow(each, options));
  assert.equal(
    table(HISTORY_COLUMNS, rows),
    "REVISION   WHEN            BY           OUTCOME   CHANGES\n" +
      "4          5 minutes ago   anna@host1   failed    image; failed: web: 3 tasks failed\n" +
      "3          5 minutes ago   -            good      object by object: service web changed\n" +
      "2*         5 minutes ago   anna@host1   good      back to 1: service web changed",
  );
});

test("a revision in full has its images with digests and its versions of files", () => {
  assert.deepEqual(revisionLines(revision(2)), [
    "Revision:  2 (good)",
    "When:      2026-01-02T10:00:00Z",
    "By:        anna@host1",
    "Origin:    deploy",
    "Changes:   service web changed",
    "",
    "IMAGES",
    "web      nginx:1@sha256:aa",
    "",
    "FILES",
    "secret key   version 2",
  ]);
});

test("a status has a line for each service and what troubles it", () => {
  const state = stackState({
    Phase: "applying",
    GoodRevision: 3,
    EndedAt: "",
    Services: [serviceState("web", { State: "applied", Running: 1, Trouble: "no suitable node" })],
  });
  assert.deepEqual(statusLines(state), [
    "Stack shop revision 4: 0 of 1 services ready",
    "Phase: applying, revision 4, good revision 3, since 2026-01-02T10:00:00Z",
    "",
    "SERVICE   STATE     TASKS   DETAIL",
    "web       applied   1/2     no suitable node",
  ]);
});

test("undo may go to the good revisions before the one in force", () => {
  const revisions = [
    revision(5, { Outcome: "failed" }),
    revision(4),
    revision(3, { Outcome: "failed" }),
    revision(2),
  ];
  assert.deepEqual(undoCandidates(revisions, 4), [2]);
  assert.deepEqual(undoCandidates(revisions, 5), [4, 2]);
  assert.deepEqual(undoCandidates([revision(1)], 1), []);
});
