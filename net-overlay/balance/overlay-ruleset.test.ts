import assert from "node:assert/strict";
import { test } from "node:test";
import type { BalancedService } from "../endpoints/overlay-plan.js";
import type { OverlayBalance } from "./overlay-ruleset.js";
import { NO_TABLE, renderOverlayRuleset } from "./overlay-ruleset.js";
import { changeBetween, overlayTable, partsOf } from "./overlay-table.js";

function balance(...services: BalancedService[]): OverlayBalance {
  return { gateway: "10.0.1.1", services: new Map(services.map((each) => [each.id, each])), localTasks: [] };
}

const web = (...backends: string[]): BalancedService => ({
  id: "web1",
  vips: ["10.0.1.2"],
  backends,
});

test("the first text replaces the whole table and fills it", () => {
  const text = renderOverlayRuleset(undefined, { ...balance(web("10.0.1.5")), localTasks: ["10.0.1.5"] });
  assert.match(text, /^table ip skein\ndelete table ip skein\ntable ip skein \{/);
  assert.equal(
    text.slice(text.indexOf("add chain")),
    `add chain ip skein svc_web1
flush chain ip skein svc_web1
add rule ip skein svc_web1 dnat to numgen inc mod 1 map { 0 : 10.0.1.5 }
add element ip skein vips { 10.0.1.2 : goto svc_web1 }
add element ip skein hairpins { 10.0.1.5 . 10.0.1.5 }`,
  );
});

test("a new backend replaces its service's chain and nothing else", () => {
  const other = { id: "db", vips: ["10.0.1.9"], backends: ["10.0.1.8"] };
  assert.equal(
    renderOverlayRuleset(balance(web("10.0.1.5"), other), balance(web("10.0.1.5", "10.0.1.6"), other)),
    `add chain ip skein svc_web1
flush chain ip skein svc_web1
add rule ip skein svc_web1 dnat to numgen inc mod 2 map { 0 : 10.0.1.5, 1 : 10.0.1.6 }`,
  );
});

test("the last backend's end turns the VIP into one that refuses", () => {
  assert.equal(
    renderOverlayRuleset(balance(web("10.0.1.5")), balance(web())),
    `delete element ip skein vips { 10.0.1.2 }
flush chain ip skein svc_web1
delete chain ip skein svc_web1
add element ip skein vips { 10.0.1.2 : goto refused }`,
  );
});

test("a service that goes takes its VIP with it; equal states give no text", () => {
  assert.equal(renderOverlayRuleset(balance(web()), balance()), "delete element ip skein vips { 10.0.1.2 }");
  assert.equal(renderOverlayRuleset(balance(web("10.0.1.5")), balance(web("10.0.1.5"))), "");
});

test("each family has a table of its own, with its own of both", () => {
  const both = {
    ...balance({ id: "web1", vips: ["10.0.1.2", "fd00::2"], backends: ["10.0.1.5", "fd00::5"] }),
    localTasks: ["10.0.1.5", "fd00::5"],
    gateway6: "fd00::1",
  };
  const text = renderOverlayRuleset(undefined, both, "ip6");
  assert.equal(
    text.slice(text.indexOf("add chain")),
    `add chain ip6 skein svc_web1
flush chain ip6 skein svc_web1
add rule ip6 skein svc_web1 dnat to numgen inc mod 1 map { 0 : fd00::5 }
add element ip6 skein vips { fd00::2 : goto svc_web1 }
add element ip6 skein hairpins { fd00::5 . fd00::5 }`,
  );
  assert.match(text, /fib saddr \. iif oif missing drop/);
  assert.match(text, /snat to fd00::1/);
  assert.doesNotMatch(renderOverlayRuleset(undefined, both), /fd00|fib/);
});

test("a VIP of a family in which no task has an address is idle", () => {
  const text = renderOverlayRuleset(
    undefined,
    {
      ...balance({ id: "web1", vips: ["10.0.1.2", "fd00::2"], backends: ["10.0.1.5"] }),
    },
    "ip6",
  );
  assert.match(text, /add element ip6 skein vips \{ fd00::2 : goto refused \}/);
});

test("segment sizes are looked at only where a path is small", () => {
  const [plain, clamped] = [balance(), { ...balance(), isClamped: true }];
  assert.doesNotMatch(renderOverlayRuleset(undefined, plain), /maxseg|forward/);
  assert.match(renderOverlayRuleset(undefined, clamped), /maxseg size set rt mtu/);
  assert.match(renderOverlayRuleset(plain, clamped), /^table ip skein\ndelete table/, "another frame");
});

test("a change in parts is the change", () => {
  const services = ["a", "b", "c"].map((id, i) => ({
    id,
    vips: [`10.0.1.${i + 2}`],
    backends: ["10.0.1.9"],
  }));
  const before = overlayTable("ip", { services: services.slice(0, 1), localTasks: ["10.0.1.9"] });
  const idle = { id: "d", vips: ["10.0.1.3"], backends: [] };
  const middle = overlayTable("ip", { services: [...services.slice(0, 1), idle], localTasks: ["10.0.1.9"] });
  const after = overlayTable("ip", { services: services.slice(1), localTasks: ["10.0.1.8"] });
  for (const from of [NO_TABLE, before, middle]) {
    const change = changeBetween(from, after);
    const parts = [...partsOf(change, 1)];
    assert.deepEqual(new Map(parts.flatMap(({ filled }) => [...filled])), change.filled);
    assert.deepEqual(new Map(parts.flatMap(({ added }) => [...added.vips])), change.added.vips);
    assert.deepEqual(
      parts.flatMap(({ removed }) => removed.vips),
      change.removed.vips,
    );
    assert.deepEqual(
      parts.flatMap(({ dropped }) => dropped),
      change.dropped,
    );
    assert.deepEqual(
      parts.flatMap(({ added }) => added.hairpins),
      change.added.hairpins,
    );
  }
  const [first] = partsOf(changeBetween(middle, after), 1);
  assert.deepEqual(first?.removed.vips, ["10.0.1.2", "10.0.1.3"]);
  assert.deepEqual([...(first?.added.vips.keys() ?? [])], ["10.0.1.3"], "never without a chain");
});
