import assert from "node:assert/strict";
import { test } from "node:test";
import {
  StackCondition,
  StackDefinition,
  StackService,
  StackServiceProgress,
  StackServiceState,
} from "../../../proto/gen/skein/v1/stack_types.js";
import { dispensable, type Gate, gateOf } from "./dependency-gate.js";
import type { Verdict } from "./judge-service.js";

const YET: Verdict = {
  runs: false,
  hasHealth: true,
  completed: false,
  reached: false,
  settled: false,
  failure: "",
  message: "0 of 1 tasks run",
  wakeAtMs: undefined,
};

function gate(
  condition: StackCondition,
  verdict: Partial<Verdict> | undefined,
  options: {
    readonly optional?: boolean;
    readonly state?: StackServiceState;
    readonly goingBack?: boolean;
  } = {},
): Gate {
  const { optional = false, state = StackServiceState.APPLIED, goingBack = false } = options;
  const web = StackService.fromPartial({ key: "web", dependsOn: [{ service: "db", condition, optional }] });
  const progress = StackServiceProgress.fromPartial({ key: "db", state });
  const find = (key: string) =>
    key === "db" ? { progress, verdict: verdict && { ...YET, ...verdict } } : undefined;
  return gateOf(web, { find, goingBack });
}

const { STARTED, HEALTHY, COMPLETED } = StackCondition;

test("a gate opens when its condition is met, and says what it waits for until then", () => {
  const rows: readonly (readonly [string, Gate])[] = [
    ["waits for db", gate(STARTED, {})],
    ["open", gate(STARTED, { runs: true })],
    ["waits for db to be healthy", gate(HEALTHY, {})],
    ["open", gate(HEALTHY, { runs: true })],
    [
      "it waits for db to be healthy, which has no health check",
      gate(HEALTHY, { runs: true, hasHealth: false }),
    ],
    ["waits for db to complete", gate(COMPLETED, { runs: true })],
    ["open", gate(COMPLETED, { completed: true })],
    ["waits for db", gate(STARTED, undefined, { state: StackServiceState.WAITING })],
    ["waits for db, which failed", gate(STARTED, {}, { state: StackServiceState.FAILED })],
  ];
  for (const [words, found] of rows) assert.equal(found.kind === "open" ? "open" : found.message, words);
});

test("an optional dependency is passed once it failed, and when nothing checks its health", () => {
  assert.equal(gate(STARTED, {}, { optional: true }).kind, "closed");
  assert.equal(gate(STARTED, {}, { optional: true, state: StackServiceState.FAILED }).kind, "open");
  assert.equal(gate(STARTED, { failure: "it failed" }, { optional: true }).kind, "open");
  assert.equal(gate(HEALTHY, { runs: true, hasHealth: false }, { optional: true }).kind, "open");
});

test("a dependency that is not there is for ever missed, unless it is optional", () => {
  const of = (optional: boolean) =>
    gateOf(StackService.fromPartial({ key: "web", dependsOn: [{ service: "db", optional }] }), {
      find: () => undefined,
      goingBack: false,
    }).kind;
  assert.deepEqual([of(false), of(true)], ["never", "open"]);
});

test("on the way back what was not touched is not waited for", () => {
  const state = StackServiceState.UNCHANGED;
  assert.equal(gate(STARTED, {}, { state }).kind, "closed");
  assert.equal(gate(STARTED, {}, { state, goingBack: true }).kind, "open");
});

test("dispensable is what somebody depends on, and nobody needs", () => {
  const needs = (key: string, dependsOn: readonly { service: string; optional: boolean }[]) => ({
    key,
    dependsOn: [...dependsOn],
  });
  const definition = StackDefinition.fromPartial({
    services: [
      needs("a", [
        { service: "b", optional: true },
        { service: "c", optional: true },
      ]),
      needs("d", [{ service: "c", optional: false }]),
      needs("b", []),
      needs("c", []),
    ],
  });
  assert.deepEqual([...dispensable(definition)], ["b"]);
});
