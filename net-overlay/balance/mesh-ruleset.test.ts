import assert from "node:assert/strict";
import { test } from "node:test";
import { BalancePolicy } from "../../proto/gen/skein/v1/types.js";
import type { MeshPlan } from "../endpoints/mesh-plan.js";
import { MESH_IPV4, MESH_IPV6 } from "./mesh-family.js";
import { versionChain } from "./mesh-frame.js";
import { chainsOfPort, disjoint } from "./mesh-port-rules.js";
import { renderMeshFill, renderMeshRuleset } from "./mesh-ruleset.js";

const base: MeshPlan = {
  nodeNumber: 300,
  localAddress: "10.99.0.1",
  vxlanUdpPort: 4789,
  peers: new Map([[2, "10.99.0.2"]]),
  nodeAddresses: ["10.99.0.1", "10.99.0.2"],
  hasIpv6: false,
  ports: [{ protocol: "tcp", publishedPort: 8080, backends: [{ address: "100.64.2.5", port: 80 }] }],
  localTasks: ["100.65.44.2"],
  exposed: [{ address: "100.65.44.2", protocol: "tcp", port: 80 }],
};

test("the first text replaces the whole table and fills it", () => {
  const text = renderMeshRuleset(undefined, base);
  assert.match(text, /^table ip skein\ndelete table ip skein\nadd table ip skein\n/);
  assert.match(text, /snat to 100\.65\.44\.1\n/);
  assert.equal(
    text.slice(text.indexOf("add element")),
    `add element ip skein tasks { 100.65.44.1 }
add element ip skein nodes { 10.99.0.1, 10.99.0.2 }
add element ip skein tasks { 100.65.44.2 }
add element ip skein hairpins { 100.65.44.2 . 100.65.44.2 }
add element ip skein exposed { 100.65.44.2 . tcp . 80 }
add element ip skein entry_mark { 02:99:00:00:00:02 : 0x40020000 }
add element ip skein entry_zone { 02:99:00:00:00:02 : 2 }
add chain ip skein port_tcp_8080
flush chain ip skein port_tcp_8080
add rule ip skein port_tcp_8080 tcp dport 8080 dnat to numgen inc mod 1 map { 0 : 100.64.2.5 . 80 }
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
add rule ip skein port_tcp_8080 tcp dport 8080 dnat to numgen inc mod 1 map { 0 : 100.64.2.6 . 80 }`,
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
    assert.match(line, /^add rule ip skein publish(_own)? fib daddr type local meta l4proto/);
});

test("tasks may not speak the tunnel's protocol to nodes: they would be in every overlay", () => {
  const text = renderMeshRuleset(undefined, { ...base, vxlanUdpPort: 4999 });
  assert.match(text, /iifname "skg\*" ip daddr @nodes udp dport 4999 drop/);
  assert.match(text, /iifname "skg\*" fib daddr type local udp dport 4999 drop/);
  assert.match(renderMeshRuleset(base, { ...base, vxlanUdpPort: 4999 }), /^table ip skein\ndelete table/);
});

const port = base.ports[0] ?? assert.fail();
const CHOICE = { by: "turn", values: ["100.64.2.5 . 80"] };
const LEAD = "tcp dport 8080 dnat to numgen inc mod 1 map { 0 : 100.64.2.5 . 80 }";

test("a port on chosen places is open there alone: on addresses, or for what comes by an interface", () => {
  const chosen = { ...port, hostAddresses: ["10.99.0.1", "eth1", "fd00::1"] };
  assert.deepEqual(chainsOfPort(chosen, base, MESH_IPV4), [
    { name: "to_tcp_8080", rules: [LEAD], choice: CHOICE, weight: 2 },
    {
      name: "port_tcp_8080",
      rules: ["ip daddr { 10.99.0.1 } goto to_tcp_8080", 'iifname { "eth1" } goto to_tcp_8080'],
      weight: 1,
    },
  ]);
  assert.deepEqual(
    chainsOfPort({ ...port, hostAddresses: ["10.99.0.1"] }, base, MESH_IPV6),
    [],
    "no address of the family: closed",
  );
  assert.deepEqual(chainsOfPort({ ...port, hostAddresses: [] }, base, MESH_IPV4), []);
  const all = chainsOfPort({ ...port, hostAddresses: ["0.0.0.0"] }, base, MESH_IPV4);
  assert.deepEqual(all, [{ name: "port_tcp_8080", rules: [LEAD], choice: CHOICE, weight: 2 }]);
});

test("a port for chosen clients refuses the others, and all when the list has none of the family", () => {
  const backends = port.backends.map((backend) => ({ ...backend, hasIpv6: true }));
  const rulesFor = (allowedSources: string[], family = MESH_IPV4): readonly string[] =>
    chainsOfPort({ ...port, backends, allowedSources }, base, family)[0]?.rules ?? [];
  assert.deepEqual(rulesFor(["10.1.0.0/16", "10.0.0.0/8", "192.168.1.7/24"]), [
    "ip saddr != { 10.0.0.0/8, 192.168.1.0/24 } goto refused",
    LEAD,
  ]);
  assert.equal(rulesFor(["10.0.0.0/8"], MESH_IPV6)[0], "goto refused");
  assert.equal(rulesFor([])[0], "goto refused");
  assert.deepEqual(rulesFor(["0.0.0.0/0"]), [LEAD]);
  assert.deepEqual(disjoint(["fd00::/8", "fd53::/16", "10.0.0.0/8"]), ["fd00::/8", "10.0.0.0/8"]);
});

test("a port with SNAT marks its first packet, a relay has the connections instead of the tasks", () => {
  const [snat] = chainsOfPort({ ...port, isSnat: true }, base, MESH_IPV4);
  assert.deepEqual(snat?.rules, ["meta mark set meta mark or 0x80000000", LEAD]);
  const relay = { address: "100.65.44.1", port: 40_000 };
  const [relayed] = chainsOfPort({ ...port, relay }, base, MESH_IPV4);
  assert.match(relayed?.rules[0] ?? "", /map \{ 0 : 100\.65\.44\.1 \. 40000 \}$/);
  assert.deepEqual(chainsOfPort({ ...port, backends: [], relay }, base, MESH_IPV4), []);
});

test("backends are chosen as the service says; a task's IPv6 address follows from its other one", () => {
  const backends = ["100.64.2.5", "100.65.44.7"].map((address) => ({ address, port: 80, hasIpv6: true }));
  const ruleFor = (balance: BalancePolicy): string =>
    chainsOfPort({ ...port, backends, balance }, base, MESH_IPV6)[0]?.rules.at(-1) ?? "";
  assert.match(ruleFor(BalancePolicy.SOURCE_HASH), /jhash ip6 saddr mod 2 seed \S+ map/);
  assert.match(ruleFor(BalancePolicy.ROUND_ROBIN), /numgen inc mod 2 map/);
  const [old] = backends.map(({ address }) => ({ address, port: 80 }));
  assert.deepEqual(chainsOfPort({ ...port, backends: old === undefined ? [] : [old] }, base, MESH_IPV6), []);
  assert.match(ruleFor(BalancePolicy.LOCAL_FIRST), /mod 1 map \{ 0 : fd53:6b65:696e:12c::7 \. 80 \}$/);
});

test("a fill leads to no chain before it is there, and ends with what nobody wants any more", () => {
  const ports = Array.from({ length: 300 }, (_, i) => ({ ...port, publishedPort: 1_000 + i }));
  const chains = new Set([versionChain(base, MESH_IPV4), "port_tcp_9", "publish"]);
  const slices = [...renderMeshFill({ ...base, ports }, { chains })];
  assert.ok(slices.length > 3, `${slices.length}`);
  assert.doesNotMatch(slices.join("\n"), /delete table/);
  const filled = slices.findIndex((slice) => slice.includes("add element ip skein ports"));
  assert.equal(filled, slices.length - 2);
  assert.equal(slices.at(-1), "flush chain ip skein port_tcp_9\ndelete chain ip skein port_tcp_9");
  assert.match(slices[filled] ?? "", /^flush map ip skein ports\nflush map ip skein node_ports\nadd element/);
  assert.match(
    renderMeshFill(base, { chains: undefined }).next().value ?? "",
    /^table ip skein\ndelete table/,
  );
});
