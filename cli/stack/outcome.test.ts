import assert from "node:assert/strict";
import { test } from "node:test";
import { outcomeOf } from "./outcome.js";
import { serviceState, stackState } from "./stack-fixtures.js";

const FOLLOWED = { stack: "shop", revision: 4 };

test("a reached revision tells what runs and how long it took", () => {
  assert.deepEqual(outcomeOf(stackState(), FOLLOWED), {
    kind: "reached",
    text: "Stack shop is on revision 4: 2 services, 3 tasks running, after 2.5 s",
  });
  const withJob = stackState({
    Services: [serviceState("web"), serviceState("job", { Running: 0, Desired: 1, Completed: 1 })],
    EndedAt: "2026-01-02T10:02:05Z",
  });
  assert.deepEqual(outcomeOf(withJob, FOLLOWED), {
    kind: "reached",
    text: "Stack shop is on revision 4: 2 services, 2 tasks running, 1 completed, after 2 min 5 s",
  });
});

test("a deployment under way, and an older line of a slower manager, are no outcome", () => {
  assert.deepEqual(outcomeOf(stackState({ Phase: "applying" }), FOLLOWED), { kind: "going" });
  assert.deepEqual(outcomeOf(stackState({ Phase: "going back" }), FOLLOWED), { kind: "going" });
  assert.deepEqual(outcomeOf(stackState({ Revision: 3, Phase: "reached" }), FOLLOWED), { kind: "going" });
});

test("a stack that went back tells the cause, the log to read, where it is and what was tried", () => {
  const state = stackState({
    Phase: "went back",
    GoodRevision: 3,
    GoingBackTo: 3,
    Failure: "service web: 3 tasks failed",
    Services: [
      serviceState("web", {
        State: "failed",
        Message: "3 tasks failed",
        Trouble: "exit code 1: no such table",
      }),
      serviceState("db"),
    ],
  });
  assert.deepEqual(outcomeOf(state, FOLLOWED), {
    kind: "failed",
    text:
      "revision 4 of stack shop failed: service web: 3 tasks failed\n" +
      "  web: exit code 1: no such table\n" +
      "  its log: skein service logs shop_web\n" +
      "The stack is on revision 3 again. What was tried: skein stack diff shop 3 4",
  });
});

test("a first deployment that failed tells that nothing is left", () => {
  const state = stackState({
    Phase: "went back",
    GoodRevision: 0,
    GoingBackTo: 0,
    Failure: "why",
    Revision: 1,
  });
  const outcome = outcomeOf({ ...state, Services: [] }, { stack: "shop", revision: 1 });
  assert.equal(outcome.kind, "failed");
  assert.match("text" in outcome ? outcome.text : "", /no good revision before: what it made is removed/);
});

test("a stuck stack names the next command: undo, or rm where nothing was good before", () => {
  const text = (good: number): string => {
    const outcome = outcomeOf(stackState({ Phase: "stuck", GoodRevision: good, Failure: "x" }), FOLLOWED);
    return "text" in outcome ? outcome.text : "";
  };
  assert.match(text(3), /left as it is, at revision 4.*'skein stack undo shop'$/s);
  assert.match(text(0), /'skein stack rm shop'$/);
});

test("a newer deployment, or the removal of the stack, ends the following as a failure", () => {
  const newer = outcomeOf(stackState({ Revision: 5, Phase: "applying" }), FOLLOWED);
  assert.match("text" in newer ? newer.text : "", /revision 4 of stack shop was superseded by revision 5/);
  assert.equal(outcomeOf(stackState({ Gone: true }), FOLLOWED).kind, "failed");
});

test("a removal ends when the stack is gone", () => {
  const removal = { stack: "shop", revision: 0, verb: "remove" } as const;
  assert.equal(outcomeOf(stackState({ Phase: "removing" }), removal).kind, "going");
  assert.equal(outcomeOf(stackState({ Phase: "reached" }), removal).kind, "going");
  assert.deepEqual(outcomeOf(stackState({ Gone: true }), removal), {
    kind: "reached",
    text: "Stack shop is removed",
  });
});
