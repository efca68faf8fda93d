/**
 * What a body of POST /skein/v1/plan asks, and how an answer is told.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PlanReply } from "../../proto/gen/skein/v1/plan.js";
import { Fields } from "../convert/fields.js";
import { planReplyOut, questionIn } from "./plan-routes.js";

const asked = (body: Record<string, unknown>): ReturnType<typeof questionIn> =>
  questionIn(Fields.of(JSON.parse(JSON.stringify(body))));

test("each question is understood; one at a time, and not none", () => {
  assert.deepEqual(asked({ Scale: { web: 3, "Api-2": 0 } }), {
    $case: "scale",
    value: { replicas: { web: 3, "Api-2": 0 } },
  });
  assert.deepEqual(asked({ Drain: "n1" }), { $case: "drainNode", value: "n1" });
  assert.deepEqual(asked({ Lose: "n1" }), { $case: "loseNode", value: "n1" });
  assert.deepEqual(asked({ LoseAny: true }), { $case: "loseAnyNode", value: true });
  assert.deepEqual(asked({ Remove: "web" }), { $case: "removeService", value: "web" });
  const back = asked({ Update: { Service: "web", Rollback: true } });
  assert.ok(back.$case === "update" && back.value.rollback && back.value.spec === undefined);
  const create = asked({ Create: { Name: "web", TaskTemplate: { ContainerSpec: { Image: "a" } } } });
  assert.ok(create.$case === "create" && create.value.spec?.annotations?.name === "web");
  assert.throws(() => asked({}), /a plan needs one of Create, .*; got 0/);
  assert.throws(() => asked({ Drain: "a", Lose: "b" }), /got 2/);
  assert.throws(() => asked({ Scale: { web: -1 } }), /body\.Scale\.web must be an integer of at least 0/);
  assert.throws(() => asked({ LoseAny: false }), /LoseAny must be true/);
  assert.throws(() => asked({ Update: { Service: "web" } }), /Spec must be a JSON object/);
});

test("an answer leaves out what there is not", () => {
  const plan = {
    title: "drain of node h1",
    tasks: [
      { serviceId: "s", name: "web.1", kind: "node", beforeTaskId: "t", beforeNodeName: "h1", begins: true },
      { serviceId: "s", name: "web.2", kind: "scale", beforeTaskId: "u", beforeNodeName: "h1" },
    ],
  };
  const out = planReplyOut(PlanReply.fromPartial({ plan }));
  assert.deepEqual(Object.keys(out), ["Title", "Fits", "Services", "Tasks", "TasksLeftOut", "Warnings"]);
  assert.deepEqual(out["Tasks"], [
    {
      ServiceID: "s",
      Name: "web.1",
      Kind: "node",
      Before: { TaskID: "t", NodeID: "", NodeName: "h1" },
      After: { NodeID: "", NodeName: "" },
    },
    { ServiceID: "s", Name: "web.2", Kind: "scale", Before: { TaskID: "u", NodeID: "", NodeName: "h1" } },
  ]);
  const losses = [{ nodeName: "h1", fits: true, tasks: 2 }];
  assert.equal(planReplyOut(PlanReply.fromPartial({ plan, losses, nodesLeftOut: 4 }))["NodesLeftOut"], 4);
});
