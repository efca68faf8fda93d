import assert from "node:assert/strict";
import { test } from "node:test";
import type { OverlayBalance } from "./overlay-ruleset.js";
import { renderOverlayRuleset } from "./overlay-ruleset.js";

function balance(...services: OverlayBalance["services"][number][]): OverlayBalance {
  return { gateway: "10.0.1.1", services, localTasks: [] };
}

const web = (...backends: string[]): OverlayBalance["services"][number] => ({
  id: "web1",
  vips: ["10.0.1.2"],
  backends,
});

test("the first text replaces the whole table and fills it", () => {
  const text = renderOverlayRuleset(undefined, { ...balance(web("10.0.1.5")), localTasks: ["10.0.1.5"] });
  assert.match(text, /^table ip skein\ndelete table ip skein\ntable ip skein \{/);
  assert.equal(
    text.slice(text.indexOf("\n}\n") + 3),
    `add chain ip skein svc_web1
flush chain ip skein svc_web1
add rule ip skein svc_web1 dnat to numgen random mod 1 map { 0 : 10.0.1.5 }
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
add rule ip skein svc_web1 dnat to numgen random mod 2 map { 0 : 10.0.1.5, 1 : 10.0.1.6 }`,
  );
});

test("the last backend's end turns the VIP into one that refuses", () => {
  assert.equal(
    renderOverlayRuleset(balance(web("10.0.1.5")), balance(web())),
    `delete element ip skein vips { 10.0.1.2 }
flush chain ip skein svc_web1
delete chain ip skein svc_web1
add element ip skein idle_vips { 10.0.1.2 }`,
  );
});

test("a service that goes takes its VIP with it; equal states give no text", () => {
  assert.equal(
    renderOverlayRuleset(balance(web()), balance()),
    "delete element ip skein idle_vips { 10.0.1.2 }",
  );
  assert.equal(renderOverlayRuleset(balance(web("10.0.1.5")), balance(web("10.0.1.5"))), "");
});
