/**
 * The rules of local networks: a change touches what differs, and only our own tables.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FirewallPlan, FirewallPort } from "./local-ruleset.js";
import { EMPTY_PLAN, renderLocalRuleset } from "./local-ruleset.js";

const network = (link: string): FirewallPlan["networks"][number] => ({
  link,
  subnet: "172.17.0.0/16",
  internal: false,
  masquerade: true,
  open: false,
});

const port = (asked: Partial<FirewallPort> = {}): FirewallPort => ({
  protocol: "tcp",
  hostAddress: "",
  hostPort: 8080,
  address: "172.17.0.2",
  port: 80,
  routed: false,
  ...asked,
});

test("a container that publishes nothing changes nothing", () => {
  const plan = { networks: [network("skein0")], ports: [] };
  assert.equal(renderLocalRuleset(4, plan, { ...plan }), "");
});

test("a published port is one element, where its address says", () => {
  const before = { networks: [network("skein0")], ports: [port()] };
  const after = {
    ...before,
    ports: [port({ address: "172.17.0.3" }), port({ hostAddress: "127.0.0.1", hostPort: 90 })],
  };
  assert.deepEqual(renderLocalRuleset(4, before, after).split("\n"), [
    "delete element ip skein_net ports { tcp . 8080 }",
    "add element ip skein_net ports { tcp . 8080 : 172.17.0.3 . 80 }",
    "add element ip skein_net ports_at { 127.0.0.1 . tcp . 90 : 172.17.0.2 . 80 }",
  ]);
  const routed = { ...before, ports: [port({ routed: true })] };
  assert.deepEqual(renderLocalRuleset(4, before, routed).split("\n"), [
    "add element ip skein_net routed { 172.17.0.2 . tcp . 80 }",
    "delete element ip skein_net ports { tcp . 8080 }",
  ]);
});

test("an internal network is masqueraded nowhere and open to nobody", () => {
  const inside = { ...network("skb-1"), internal: true, open: true };
  const text = renderLocalRuleset(4, EMPTY_PLAN, { networks: [inside], ports: [] });
  assert.match(text, /add element ip skein_net internal \{ "skb-1" \}/);
  assert.doesNotMatch(text, /masqueraded|open/);
});

test("what is for the host alone is translated for the host alone, and inner networks end first", () => {
  const rules = renderLocalRuleset(4, undefined, EMPTY_PLAN);
  const publish = rules.slice(rules.indexOf("chain publish {"), rules.indexOf("chain publish_own {"));
  const loopback = publish.indexOf('iifname != "lo" ip daddr 127.0.0.0/8 accept');
  assert.ok(loopback > 0 && loopback < publish.indexOf("jump published"), publish);
  const forward = rules.slice(rules.indexOf("chain forward {"), rules.indexOf("chain towards {"));
  assert.ok(forward.indexOf("@internal") < forward.indexOf("jump towards"), forward);
});

test("the whole table replaces what was there, of either family", () => {
  for (const [family, table] of [
    [4, "ip skein_net"],
    [6, "ip6 skein_net"],
  ] as const) {
    const text = renderLocalRuleset(family, undefined, EMPTY_PLAN);
    assert.ok(text.startsWith(`table ${table}\ndelete table ${table}\ntable ${table} {`));
    assert.doesNotMatch(text, /table (?!ip6? skein_net)/);
  }
});
