import assert from "node:assert/strict";
import { test } from "node:test";
import { DnsConfig, Privileges, ServiceSpec } from "../../proto/gen/skein/v1/types.js";
import { compareServiceSpecs } from "./spec-comparison.js";

const spec = (container: object): ServiceSpec =>
  ServiceSpec.fromPartial({ task: { container: { image: "i", ...container } } });

test("an empty object one client sends equals the absent one of another", () => {
  const docker = spec({ privileges: Privileges.fromPartial({}), dnsConfig: DnsConfig.fromPartial({}) });
  const comparison = compareServiceSpecs(docker, spec({}));
  assert.equal(comparison.same, true);
  assert.equal(comparison.merged.task, docker.task); // the old spelling is kept: no task is dirty
});

test("order does not count where it has no meaning, values do", () => {
  assert.equal(compareServiceSpecs(spec({ env: ["A=1", "B=2"] }), spec({ env: ["B=2", "A=1"] })).same, true);
  assert.equal(compareServiceSpecs(spec({ args: ["a", "b"] }), spec({ args: ["b", "a"] })).same, false);
  assert.equal(compareServiceSpecs(spec({}), spec({ privileges: { noNewPrivileges: true } })).same, false);
});
