/**
 * Placement constraints: what is understood, what is refused, what matches.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "../../base/errors/errors.js";
import { Node } from "../../proto/gen/skein/v1/objects.js";
import { NodeRole } from "../../proto/gen/skein/v1/types.js";
import { matchesConstraint, parseConstraint } from "./constraint.js";

const node = Node.fromPartial({
  id: "n1abc",
  role: NodeRole.MANAGER,
  spec: { annotations: { labels: { Zone: "East", empty: "" } } },
  status: { address: "10.9.0.7" },
  description: {
    hostname: "Alpha",
    platform: { os: "linux", architecture: "x86_64" },
    engineLabels: { storage: "ssd" },
  },
});

test("constraints match without regard to case, save label keys", () => {
  for (const [text, expected] of [
    ["node.id==n1abc", true],
    ["node.id != n1abc", false],
    ["node.hostname == alpha", true],
    ["NODE.ROLE == Manager", true],
    ["node.role != worker", true],
    ["node.platform.os == Linux", true],
    ["node.platform.arch == amd64", true],
    ["node.platform.arch == x86_64", true],
    ["node.labels.Zone == east", true],
    ["node.labels.zone == east", false],
    ["node.labels.none == x", false],
    ["node.labels.none != x", true],
    ["engine.labels.storage == SSD", true],
    ["node.ip == 10.9.0.0/24", true],
    ["node.ip != 10.9.0.7", false],
    ["node.ip == elsewhere", false],
  ] as const) {
    assert.equal(matchesConstraint(node, parseConstraint(text)), expected, text);
  }
});

test("bad expressions are refused, with the expression and the rule", () => {
  for (const [text, rule] of [
    ["node.role", /KEY == VALUE/],
    ["node.role = manager", /KEY == VALUE/],
    ["node.role == chief", /manager or worker/],
    ["node.colour == red", /unknown key "node.colour"/],
    ["node.labels. == x", /unknown key/],
    ["node.labels.a==", /empty or has forbidden/],
    ["node.labels.a == {x}", /forbidden characters/],
    ["", /KEY == VALUE/],
  ] as const) {
    assert.throws(
      () => parseConstraint(text),
      (error) =>
        error instanceof InvalidArgumentError && rule.test(error.message) && error.message.includes(text),
      text,
    );
  }
});
