import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import { renderMeshRuleset } from "./mesh-ruleset.js";

const base: MeshPlan = {
  nodeNumber: 300,
  localAddress: "10.99.0.1",
  vxlanUdpPort: 4789,
  peers: new Map([[2, "10.99.0.2"]]),
  ports: [{ protocol: "tcp", publishedPort: 8080, backends: [{ address: "100.64.2.5", port: 80 }] }],
  localTasks: ["100.65.44.2"],
  exposed: [{ address: "100.65.44.2", protocol: "tcp", port: 80 }],
};

test("the first text replaces the whole table and fills it", () => {
  const text = renderMeshRuleset(undefined, base);
  assert.match(text, /^table ip skein\ndelete table ip skein\ntable ip skein \{/);
  assert.match(text, /snat to 100\.65\.44\.1\n/);
  assert.equal(
    text.slice(text.indexOf("\n}\n") + 3),
    `add element ip skein nodes { 10.99.0.1, 10.99.0.2 }
add element ip skein tasks { 100.65.44.2 }
add element ip skein hairpins { 100.65.44.2 . 100.65.44.2 }
add element ip skein exposed { 100.65.44.2 . tcp . 80 }
add element ip skein entry_mark { 02:99:00:00:00:02 : 0x40020000 }
add element ip skein entry_zone { 02:99:00:00:00:02 : 2 }
add chain ip skein port_tcp_8080
flush chain ip skein port_tcp_8080
add rule ip skein port_tcp_8080 tcp dport 8080 dnat to numgen random mod 1 map { 0 : 100.64.2.5 . 80 }
add element ip skein ports { tcp . 8080 : goto port_tcp_8080 }`,
  );
});

test("marks and zones of the last node numbers fit", () => {
  const text = renderMeshRuleset(
    { ...base, peers: new Map() },
    { ...base, peers: new Map([[16_383, "10.99.0.9"]]) },
  );
  assert.match(text, /02:99:00:00:3f:ff : 0x7fff0000/);
  assert.match(text, /02:99:00:00:3f:ff : 16383/);
});

test("a backend that changes replaces its port's chain and nothing else", () => {
  const ports = [
    { protocol: "tcp" as const, publishedPort: 8080, backends: [{ address: "100.64.2.6", port: 80 }] },
  ];
  assert.equal(
    renderMeshRuleset(base, { ...base, ports }),
    `add chain ip skein port_tcp_8080
flush chain ip skein port_tcp_8080
add rule ip skein port_tcp_8080 tcp dport 8080 dnat to numgen random mod 1 map { 0 : 100.64.2.6 . 80 }`,
  );
});

test("a port without backends is let go; the host's own stack refuses", () => {
  const ports = [{ protocol: "tcp" as const, publishedPort: 8080, backends: [] }];
  assert.equal(
    renderMeshRuleset(base, { ...base, ports }),
    `delete element ip skein ports { tcp . 8080 }
flush chain ip skein port_tcp_8080
delete chain ip skein port_tcp_8080`,
  );
  assert.equal(renderMeshRuleset(base, base), "");
});

test("a node's own port is no other node's: it is looked up for local addresses alone", () => {
  const ports = base.ports.map((port) => ({ ...port, isNodeOnly: true }));
  const text = renderMeshRuleset(base, { ...base, ports });
  assert.equal(
    text,
    `delete element ip skein ports { tcp . 8080 }
add element ip skein node_ports { tcp . 8080 : goto port_tcp_8080 }`,
  );
  const skeleton = renderMeshRuleset(undefined, base);
  for (const line of skeleton.split("\n").filter((each) => each.includes("vmap @node_ports")))
    assert.match(line, /^ +fib daddr type local meta l4proto/);
});

test("tasks may not speak the tunnel's protocol to nodes: they would be in every overlay", () => {
  const text = renderMeshRuleset(undefined, { ...base, vxlanUdpPort: 4999 });
  assert.match(text, /iifname "skg\*" ip daddr @nodes udp dport 4999 drop/);
  assert.match(text, /iifname "skg\*" fib daddr type local udp dport 4999 drop/);
  assert.match(renderMeshRuleset(base, { ...base, vxlanUdpPort: 4999 }), /^table ip skein\ndelete table/);
});
